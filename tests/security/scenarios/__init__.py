"""Attempts that act inside and outside, by the name that the table gives them. Each gets an arena and asserts for itself."""

from .files import *  # noqa: F403
from .flood import *  # noqa: F403
from .host import *  # noqa: F403
from .messages import *  # noqa: F403
from .network import *  # noqa: F403
from .replayed import *  # noqa: F403
from .resources import *  # noqa: F403
from .shown import *  # noqa: F403
from .sockets import *  # noqa: F403
