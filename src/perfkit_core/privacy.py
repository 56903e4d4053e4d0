"""What of the user's environment never goes into a file."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?!OR(?!I))|COOKIE|PRIVATE|APIKEY|JWT|BEARER|"
    r"(?:^|_)(?:KEYS?|PASS|PAT)(?:$|_)|(?!^)(?<!OLD)PWD$",
    re.IGNORECASE,
)
"""Not ``TOKENIZERS_PARALLELISM`` and ``GIT_AUTHOR_NAME``, which are settings, and not ``PWD`` and ``OLDPWD``."""

_SECRET_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a URL with a password
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"  # GitHub, GitLab
    r"|sk-[\w-]{20,}|nvapi-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}"  # OpenAI and others, NVIDIA, Slack
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}"  # Amazon, Google
    r"|pypi-[\w-]{20,}|npm_[A-Za-z0-9]{20,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}"  # JSON web tokens
    r")"
)
"""Forms that only secrets have."""


def is_secret(name: str) -> bool:
    """Return whether the name of an environment variable speaks of a secret, such as ``HF_TOKEN``."""
    return bool(_SECRET.search(name))


def looks_secret(value: str) -> bool:
    """Return whether a value has the form of a secret: a known kind of token, or a URL with a password."""
    return bool(_SECRET_VALUE.search(value))
