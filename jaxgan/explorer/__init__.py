"""Pages in which a generator runs, in any browser and without a server."""
