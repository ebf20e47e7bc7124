"""Endpoints of other kinds of servers, for plugins that were written for those."""
