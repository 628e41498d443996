"""The core: networks, GANs, updates and steps as pure functions. No files, no printing."""
