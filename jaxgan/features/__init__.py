"""Feature extractors, which map images to the vectors that metrics compare.

extractor = digits.load()  # or inception.load(), or an Extractor of any function
features = extract(extractor, images)
"""

from jaxgan.features.extractor import Extractor, extract

__all__ = ["Extractor", "extract"]
