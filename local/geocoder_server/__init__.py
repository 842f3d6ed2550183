"""A geocoder on this machine: answers like Amazon Location's Places v2, and imports nothing of ours."""
