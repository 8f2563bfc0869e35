"""The session image: an interpreter, packages and Node in one folder that is shown read-only at ``/image``."""

from .build import build
from .image import Image
from .layer import prepare_layer
from .progress import Progress, silent
from .store import ImageStore

__all__ = ["Image", "ImageStore", "Progress", "build", "prepare_layer", "silent"]
