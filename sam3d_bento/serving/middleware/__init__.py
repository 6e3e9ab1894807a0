"""Wrap all routes in ASGI middlewares. service.py defines their order."""
