"""The session image: an interpreter, packages and Node in one folder that is shown read-only at ``/image``."""
