"""ASGI middlewares around all routes. service.py says in which order."""
