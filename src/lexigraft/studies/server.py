"""Imported first by the fork server, and by nothing else: it ends with the launcher, even while it imports the rest."""

from lexigraft.processes import die_with_parent

die_with_parent()
