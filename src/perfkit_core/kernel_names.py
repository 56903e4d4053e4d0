"""Names of kernels as a reader wants them: short, with what tells them apart, and whose library they are of.

Compilers write the whole of a template's arguments into the name, hundreds of characters of them. What says something
is the function, the operation that it was made for and the type of its values.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from perfkit_core.texts import visible

LONGEST: Final = 80
"""Characters of a readable name at most."""

_ELLIPSIS: Final = "…"

_STARTS: Final = (
    ("Triton", r"triton_"),
    ("NCCL", r"nccl"),
    (
        "cuBLAS",
        r"nvjet_|cublas|gemv\w*_kernel|gemvNSP|splitKreduce|\w*xmma_gemm|(?:volta|turing|ampere|hopper)_\w*gemm",
    ),
    ("cuDNN", r"cudnn|cask_plugin__\w*cudnn|implicit_convolve|\w*xmma_(?:fprop|dgrad|wgrad)|\w*_scudnn_"),
    ("FlashAttention", r"(?:pytorch_)?flash::|flash_(?:fwd|bwd)|FlashAttn"),
    ("cuFFT", r"cufft|(?:regular|vector)_fft|(?:vector|regular)_r2c|(?:vector|regular)_c2r"),
    ("CUTLASS", r"cutlass|fmha_cutlass"),
    ("CUB", r"(?:\w+::)*cub::"),
    ("Thrust", r"(?:\w+::)*thrust::"),
    ("PyTorch", r"(?:at|c10|torch)::|softmax_warp_|elementwise_kernel_with_index|vectorized_elementwise_kernel"),
)
"""Libraries, and how the names of their functions begin; namespaces are part of the name."""

_ANYWHERE: Final = (("cuDNN", r"_cudnn\b"), ("cuBLAS", r"cublas"), ("CUTLASS", r"\bcutlass::"), ("PyTorch", r"\bat::"))
"""The same for what stands in arguments, where the function itself says nothing."""

_BEGINNINGS: Final = tuple((library, re.compile(pattern)) for library, pattern in _STARTS)
_PARTS: Final = tuple((library, re.compile(pattern)) for library, pattern in _ANYWHERE)

_NOISE: Final = re.compile(r"(?:\(anonymous namespace\)|<unnamed>|\(anonymous\)|_GLOBAL__N__\w+)::")
_CAST: Final = re.compile(r"\((bool|(?:unsigned )?(?:int|long|short|char|long long)|[A-Za-z_][\w:]*)\)(?=-?\d)")
_TYPES: Final = re.compile(r"\b(?:c10::|cutlass::|nv_)?(?:__nv_)?(BFloat16|bfloat16(?:_t)?|Half|half(?:_t)?|__half)\b")
_WRAPPERS: Final = frozenset(
    {"Kernel", "Kernel2", "device_kernel", "enable_3x_kernel_for_sm9x", "enable_3x_kernel_for_sm10", "gpu_kernel_impl"}
    | {"gpu_kernel_impl_nocast", "gpu_index_kernel", "func_wrapper_t", "ReduceOp", "BinaryFunctor", "AUnaryFunctor"}
    | {"BUnaryFunctor", "ReduceFunctor"}
)
"""Templates that stand around what is meant."""

_TYPED: Final = frozenset({"BinaryFunctor", "AUnaryFunctor", "BUnaryFunctor", "ReduceOp"})
"""Those whose first argument is the type of the values."""

_OPERATION: Final = re.compile(
    r"\w*Functor\w*|\w+_functor|\w+Ops\b|\w+_kernel(?:_cuda|_impl)?\b|\w+KernelImpl\b|launch_clamp_scalar|\w+_cuda_out"
)
_TRIM: Final = re.compile(
    r"^CUDAFunctor(?:OnSelf|OnOther)?_?|^launch_|_kernel(?:_cuda|_impl)*$|(?:CUDA)?KernelImpl$|_?[Ff]unctor$|Ops$|_cuda_out$|_kernel$"
)
_LAMBDA: Final = re.compile(r"lambda\((?P<type>[^(),]+)")
_ELEMENTWISE: Final = re.compile(r"(?P<shape>\w*elementwise|reduce)_kernel\w*$")
_MMA: Final = re.compile(r"MMA_\d\w*?(?=[^\w]|ILN|$)")
_MANGLED: Final = re.compile(r"_ZN?K?(?=\d)")
_LENGTH: Final = re.compile(r"S[0-9A-Z]*_|(?P<length>\d{1,3})")
"""In a mangled name, a reference to what stood there before, or the length of an identifier."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")
_OPENING: Final = "<({["
_CLOSING: Final = ">)}]"
_UNNAMED: Final = "(unnamed)"
_WORDS: Final = 3
_SIMPLE: Final = 24
"""Words, and characters of them, that tell names apart."""


def library_of(name: str) -> str:
    """Return the library that a kernel is of, such as ``cuBLAS`` or ``PyTorch``; empty when its name does not tell.

    Args:
        name: Name as a profiler wrote it, demangled or not.
    """
    parts = _taken_apart(name)
    for library, pattern in _BEGINNINGS:
        if pattern.match(parts.function) or pattern.match(parts.function.rpartition("::")[2]):
            return library
    return next((library for library, pattern in _PARTS if pattern.search(name)), "")


def readable(name: str) -> str:
    """Return a name of 80 characters at most: the function, and what it was made for.

    ``void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, …>(int, …)`` is
    ``vectorized_elementwise: add (float)``. Names without arguments stay as they are, cut in the middle if need be.

    Args:
        name: Name as a profiler wrote it, demangled or not.
    """
    parts = _taken_apart(name)
    function = parts.function.rpartition("::")[2].strip() or _UNNAMED
    if function in _WRAPPERS and parts.arguments:
        return shortened(_unwrapped(parts))
    shape = _ELEMENTWISE.fullmatch(function)
    operation = _operation(parts.arguments) if shape else ""
    if shape and operation:
        return shortened(f"{shape['shape']}: {operation}")
    return _with_arguments(function, parts.arguments)


def readable_names(names: Iterable[str]) -> dict[str, str]:
    """Return the readable name of each: two that would look the same keep the argument that differs, or get numbers.

    Args:
        names: All names of one table.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        groups[readable(name)].append(name)
    found: dict[str, str] = {}
    taken = set(groups)
    for short, members in groups.items():
        endings = _differences(members) if len(members) > 1 else [""]
        for name, ending in zip(members, endings, strict=True):
            wanted = shortened(short, LONGEST - len(ending)) + ending
            number = 1
            while ending and wanted in taken:
                number += 1
                wanted = shortened(short, LONGEST - len(ending) - 8) + f"{ending} #{number}"
            taken.add(wanted)
            found[name] = wanted
    return found


class _Parts(NamedTuple):
    """A name taken apart: the function with its namespaces, and the arguments of its template."""

    function: str
    arguments: Sequence[str]


def _taken_apart(name: str) -> _Parts:
    text = _normal(name)
    if _MANGLED.match(text):
        return _of_mangled(text)
    # Names of copies have a space before the bracket, and what is in it belongs to them.
    end = next((found.start() for found in re.finditer(r"<|(?<! )\(", text)), len(text))
    inside = _bracketed(text[end:]) if text[end : end + 1] == "<" else ""
    return _Parts(text[:end].strip() or text, tuple(_split(inside)))


def _normal(name: str) -> str:
    """Return a name without what compilers write differently: casts of numbers, unnamed namespaces, spaces."""
    text = visible(" ".join(name.split()))
    text = _NOISE.sub("", text)
    text = _CAST.sub(lambda found: "" if found[1] != "bool" else "bool:", text)
    text = text.replace("bool:1", "true").replace("bool:0", "false").replace("bool:", "")
    text = _TYPES.sub(lambda found: "bf16" if "loat16" in found[1] else "fp16", text)
    text = text.replace("> >", ">>")
    return re.sub(r"^(?:void|static|__global__)\s+", "", text)


def _of_mangled(text: str) -> _Parts:
    """Take the identifiers of a mangled name, which stand there with their lengths before them."""
    words: list[str] = []
    place = first = 0
    while found := _LENGTH.search(text, place):
        end = found.end() + int(found["length"] or 0)
        word = text[found.end() : end]
        if _IDENTIFIER.fullmatch(word):
            if words and text[place : found.start("length")]:
                first = first or len(words)
            words.append(word)
            place = end
        else:
            place = found.end()
    if not first:
        return _Parts("::".join(words) or text, ())
    return _Parts("::".join(words[:first]), tuple(words[first:]))


def _bracketed(text: str) -> str:
    """Return what is in the brackets that a text begins with; all the rest where they are not closed."""
    depth = 0
    for place, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING and text[place - 1 : place + 1] != "->":
            depth -= 1
            if depth == 0:
                return text[1:place]
    return text[1:]


def _split(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for place, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING and text[place - 1 : place + 1] != "->":
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    if text[start:].strip():
        yield text[start:].strip()


def _operation(arguments: Sequence[str]) -> str:
    """Return the operation that an element-wise function or a reduction was made for, and the type of its values."""
    for argument in arguments:
        inner, typed = _meant(argument)
        found = _OPERATION.search(inner)
        if found is None:
            continue
        rest = inner[found.end() :]
        own = next(_split(_bracketed(rest)), "") if rest[:1] == "<" else ""
        taken = _LAMBDA.findall(inner)
        typed = typed or own or (taken[-1].strip() if taken else "")
        word = found[0]
        while (trimmed := _TRIM.sub("", word)) and trimmed != word:
            word = trimmed
        word = word[:1].lower() + word[1:] if word[1:2].islower() else word
        return f"{word} ({_essence(typed)})" if typed else word
    return ""


def _meant(argument: str) -> tuple[str, str]:
    """Return what wrappers stand around, and the type that they say it is for; what the wrapper adds is left out."""
    typed = ""
    while (start := argument.find("<")) > 0:
        wrapper = argument[:start].rpartition("::")[2].strip()
        if wrapper not in _WRAPPERS:
            break
        argument = _bracketed(argument[start:])
        typed = next(_split(argument), "") if wrapper in _TYPED else typed
    return argument, typed


def _unwrapped(parts: _Parts) -> str:
    """Return the name of what a template stands around, and the instruction that it is made for."""
    text = ", ".join(parts.arguments)
    words = [word for word in re.findall(r"[A-Za-z_]\w*", text) if word not in _WRAPPERS]
    telling = [word for word in words if word.startswith("cutlass_") or word[:1].isupper()] or words
    instruction = _MMA.search(text)
    name = telling[0] if telling else parts.function.rpartition("::")[2]
    return f"{name}: {instruction[0]}" if instruction else name


def _with_arguments(function: str, arguments: Sequence[str]) -> str:
    """Return a function and as many of its arguments, each by its own name, as there is room for."""
    if not arguments or len(function) > LONGEST - 8:
        return shortened(function)
    shown: list[str] = []
    for place, argument in enumerate(arguments):
        tail = "" if place == len(arguments) - 1 else f", {_ELLIPSIS}"
        wanted = [*shown, _essence(argument)]
        if len(f"{function}<{', '.join(wanted)}{tail}>") > LONGEST:
            return f"{function}<{', '.join([*shown, _ELLIPSIS])}>"
        shown = wanted
    return f"{function}<{', '.join(shown)}>"


def _essence(argument: str) -> str:
    """Return the last part of the name of a type or function, without its own arguments."""
    end = next((place for place, character in enumerate(argument) if character in _OPENING), len(argument))
    head = argument[:end].removesuffix("const").strip()
    return shortened(head.rpartition("::")[2] or head or _ELLIPSIS, 40)


def _differences(names: Sequence[str]) -> list[str]:
    """Return an ending for each name: the first words that tell them apart, else numbers."""
    texts = [_normal(name) for name in names]
    for words in (r"\w+", r"[^\W_]+"):
        columns = list(zip(*(re.findall(words, text) for text in texts), strict=False))
        differing = [column for column in columns if len(set(column)) > 1][:_WORDS]
        for count in range(1, len(differing) + 1):
            keys = [" ".join(key) for key in zip(*differing[:count], strict=True)]
            if len(set(keys)) == len(keys) and all(len(key) <= _SIMPLE for key in keys):
                return [f" [{key}]" for key in keys]
    return [f" #{number}" for number in range(1, len(names) + 1)]


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return a text with its middle left out where it is too long: both ends tell kernels apart."""
    if len(text) <= longest:
        return text
    ahead = longest * 2 // 3
    return f"{text[:ahead]}{_ELLIPSIS}{text[len(text) - (longest - ahead - 1) :]}"
