"""What of the user's environment never goes into a file."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"(?<!TIK)TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?!OR(?!I))|COOKIE(?!CUTTER)|PRIVATE|APIKEY|JWT|BEARER|"
    r"WEBHOOK|(?:^|_)(?:KEYS?|PASS|PAT|CREDS?)(?:$|_)|(?!^)(?<!OLD)PWD$",
    re.IGNORECASE,
)
"""Not ``TOKENIZERS_PARALLELISM`` and ``GIT_AUTHOR_NAME``, which are settings, and not ``PWD`` and ``OLDPWD``."""

_PLACE = re.compile(r"_(?:DIR|DIRECTORY|FILE|FOLDER|PATH)$", re.IGNORECASE)
"""Ends the name of a variable that says where a secret lies, and is none."""

_COUNT = re.compile(
    r"(?:^|_)(?:MAX|MIN|NUM|N)_(?:\w+_)?TOKENS(?:$|_)|(?:^|_)TOKENS?_(?:COUNT|LENGTH|LIMIT|BUDGET)$", re.IGNORECASE
)
"""Names numbers of the tokens that models read."""

_SECRET_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a URL with a password
    r"|(?i:[?&#;](?:[\w.-]*[_.-])?(?:token|key|apikey|secret|password|passwd|pwd|auth|sig|signature|credential)=[^&\s])"
    r"|://hooks\.slack\.com/|://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/"  # the whole address is the secret
    r"|(?i:\bBearer\s+[\w.~+/=-]{6,}|\bBasic\s+(?=\S*[\d=])[A-Za-z0-9+/]{8,}=*)"  # a header
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"  # GitHub, GitLab
    r"|sk-[\w-]{20,}|nvapi-[\w-]{20,}|xox[a-z](?:\.[a-z]+)?-[\w-]{6,}"  # OpenAI and others, NVIDIA, Slack
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}"  # Amazon, Google
    r"|pypi-[\w-]{20,}|npm_[A-Za-z0-9]{20,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}"  # JSON web tokens
    r")"
)
"""Forms that only secrets have."""


def is_secret(name: str) -> bool:
    """Return whether the name of an environment variable speaks of a secret, such as ``HF_TOKEN``.

    A path to it, as in ``MASTER_KEY_PATH``, is none, and neither are counts such as ``MAX_TOKENS``.
    """
    return bool(_SECRET.search(name)) and not (_PLACE.search(name) or _COUNT.search(name))


def looks_secret(value: str) -> bool:
    """Return whether a value has the form of a secret: a known kind of token, or a URL with a password."""
    return bool(_SECRET_VALUE.search(value))
