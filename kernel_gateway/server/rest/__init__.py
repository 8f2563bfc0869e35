"""The REST and SSE interface (docs/rest.md)."""
