"""The API's own description: an OpenAPI document of all routes, a page of it for browsers, a text of it for `docs/`."""
