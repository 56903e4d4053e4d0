"""What of the user's environment never goes into a file."""

from __future__ import annotations

import re

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|PRIVATE|(?:^|_)KEYS?(?:$|_)|APIKEY", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Return whether the name of an environment variable speaks of a secret, such as ``HF_TOKEN``."""
    return bool(_SECRET.search(name))
