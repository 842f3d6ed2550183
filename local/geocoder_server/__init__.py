"""A geocoder on this machine. It answers like Amazon Location's Places v2 and imports nothing of the product."""
