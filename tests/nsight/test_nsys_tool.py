"""Finding nsys, and saying what a found one lacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from perfkit_nsight.environment import minimal_environment, program_environment
from perfkit_nsight.nsys_tool import find_nsys, usable_nsys

from perfkit_core.errors import MissingError


def tool(path: Path, says: str) -> Path:
    """A program that tells a version; nothing else of it is used here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_variable_names_the_tool(tmp_path: Path) -> None:
    named = tool(tmp_path / "own" / "nsys", "NVIDIA Nsight Systems version 2025.3.1.90-253135822126v0")
    found = find_nsys({"PERFKIT_NSYS": str(named), "PATH": ""})
    assert found is not None
    assert (found.path, found.version, found.release, found.problems) == (
        named, "2025.3.1.90-253135822126v0", (2025, 3), (),
    )  # fmt: skip
    with pytest.raises(MissingError, match="is no file"):
        find_nsys({"PERFKIT_NSYS": str(tmp_path / "absent")})


def test_a_tool_that_is_too_old_or_does_not_answer_is_told(tmp_path: Path) -> None:
    old = tool(tmp_path / "nsys", "NVIDIA Nsight Systems version 2021.1.3.14-b695ea9")
    assert "older than 2022.4" in find_nsys({"PERFKIT_NSYS": str(old)}).problems[0]
    with pytest.raises(MissingError, match=r"cannot be used: version 2021\.1\.3.* is older"):
        usable_nsys({"PERFKIT_NSYS": str(old)})
    silent = tool(tmp_path / "silent", "hello")
    assert "does not tell its version: hello" in find_nsys({"PERFKIT_NSYS": str(silent)}).problems[0]


def test_an_importer_in_another_place_needs_a_link(tmp_path: Path) -> None:
    """As in Nsight Compute's copy of nsys: it records, and looks for its importer where it is not."""
    named = tool(tmp_path / "host/target-linux-x64/nsys", "NVIDIA Nsight Systems version 2025.3.1.90-1v0")
    assert "it has no importer" in find_nsys({"PERFKIT_NSYS": str(named)}).problems[0] or shutil.which("nsys")
    importer = tmp_path / "host/linux-desktop-glibc_2_11_3-x64/QdstrmImporter"
    importer.parent.mkdir()
    shutil.copy(shutil.which("true") or "/bin/true", importer)
    (problem,) = find_nsys({"PERFKIT_NSYS": str(named)}).problems
    link, target = problem.split("ln -s ")[1].split()[::-1]
    assert target == str(importer.parent)
    Path(link).symlink_to(target)
    assert find_nsys({"PERFKIT_NSYS": str(named)}).problems == ()


def test_a_profiled_process_gets_no_secret() -> None:
    environ = {
        "PATH": "/bin", "LD_LIBRARY_PATH": "/l", "CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": "p", "HF_HOME": "/h",
        "HF_TOKEN": "x", "CUDA_API_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "MY_SETTING": "y", "TORCH_AUTH": "x",
    }  # fmt: skip
    kept = {"PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "HF_HOME"}
    assert set(minimal_environment(environ)) == kept
    assert set(minimal_environment(environ, "MY_SETTING, HF_TOKEN")) == kept | {"MY_SETTING", "HF_TOKEN"}


def test_a_program_gets_everything_but_secrets() -> None:
    secret = {
        "HF_TOKEN": "x", "DB_PASS": "x", "MYSQL_PWD": "x", "GH_PAT": "x", "SSL_PASSPHRASE": "x", "AUTHORIZATION": "x",
        "PROXY": "http://me:word@proxy:3128", "SETTING": "hf_" + "a" * 34, "OTHER": "AKIA" + "B" * 16,
        "SLACK_WEBHOOK": "x", "CREDS": "x", "AWS_CREDS": "x", "ACCESS_TOKENS": "x", "S1": "xoxb-12-ab34cd",
        "S2": "Bearer abcdef12", "S3": "https://h/x?token=abc", "S4": "https://h/?a=1&X-Amz-Signature=9f",
        "S5": "Basic bWU6d29yZA==", "S6": "https://hooks.slack.com/services/T0/B0/abc",
    }  # fmt: skip
    plain = {
        "PWD": "/w", "OLDPWD": "/w", "MY_SETTING": "y", "TOKENIZERS_PARALLELISM": "false", "GIT_AUTHOR_NAME": "me",
        "URL": "http://host:8080/a@b", "KEYBOARD": "us", "COMPASS": "north", "SKIP": "sk-no", "EMPTY": "",
        "TIKTOKEN_CACHE_DIR": "/c", "MAX_TOKENS": "4096", "NUM_TOKENS": "1", "VLLM_MAX_NUM_BATCHED_TOKENS": "8",
        "COOKIECUTTER_X": "y", "MASTER_KEY_PATH": "/k", "QUERY": "https://h/x?page=3&tokens=5",
        "COURSE": "Basic training", "SORT": "bearer of news",
    }  # fmt: skip
    assert program_environment({**secret, **plain}) == plain
    assert program_environment({**secret, **plain}, "HF_TOKEN,PROXY").keys() == plain.keys() | {"HF_TOKEN", "PROXY"}
