"""The peers: other crawlers that do the same work on the same site, each in its own process."""
