"""The `routeiq` command: thin verbs over every folder. Start at `main`."""
