"""Voting in a browser: links, server and pages for the experts and the lead of a study."""
