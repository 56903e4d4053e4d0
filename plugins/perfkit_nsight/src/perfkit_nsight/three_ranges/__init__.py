"""Demo model ``three_ranges``: three nested and neighbouring ranges with known work, and work outside them."""
