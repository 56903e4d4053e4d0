"""The distributions that the tests install: each breaks one rule of registration, or clashes with another."""

from __future__ import annotations

from .distributions import REQUIRES_THIS_CORE, Project, hooks, model_plugin

MISTAKES = {
    "returns_none": ("@hookimpl\ndef perfkit_models():\n    pass", "perfkit_models returned None"),
    "returns_one": ("@hookimpl\ndef perfkit_models():\n    return model()", "returned ModelSpec, not a list"),
    "returns_mapping": ("@hookimpl\ndef perfkit_models():\n    return {'a': model()}", "returned dict, not a list"),
    "returns_names": ("@hookimpl\ndef perfkit_models():\n    return ['toy']", "str in it, not ModelSpec"),
    "returns_other_kind": (
        "@hookimpl\ndef perfkit_backends():\n    return [exporter()]",
        "ExporterSpec in it, not Back",
    ),
    "yields": ("@hookimpl\ndef perfkit_exporters():\n    yield exporter()", "returned generator, not a list"),
    "upper_case": ("@hookimpl\ndef perfkit_models():\n    return [model(name='Toy')]", "name='Toy' is not a name"),
    "dashed": ("@hookimpl\ndef perfkit_exporters():\n    return [exporter(name='a-b')]", "name='a-b' is not a name"),
    "empty_name": ("@hookimpl\ndef perfkit_exporters():\n    return [exporter(name='')]", "name='' is not a name"),
    "number_name": ("@hookimpl\ndef perfkit_exporters():\n    return [exporter(name=7)]", "name=7 is not a name"),
    "newline": ("@hookimpl\ndef perfkit_models():\n    return [model(name='toy\\n')]", "name='toy\\n' is not a name"),
    "no_variant": ("@hookimpl\ndef perfkit_models():\n    return [model(variants=[])]", "at least one VariantSpec"),
    "two_variants": (
        "@hookimpl\ndef perfkit_models():\n    return [model(variants=[VariantSpec(name='v', summary='')] * 2)]",
        "variant 'v' is there twice",
    ),
    "text_variant": (
        "@hookimpl\ndef perfkit_models():\n    return [model(variants=['v'])]",
        "hold str, not VariantSpec",
    ),
    "no_options": ("@hookimpl\ndef perfkit_models():\n    return [model(options=dict)]", "not a subclass of"),
    "no_function": ("@hookimpl\ndef perfkit_models():\n    return [model(load='x')]", "load='x' is not a function"),
    "unknown_value": (
        "@hookimpl\ndef perfkit_workloads():\n    return [workload(values={'hight': 1})]",
        "values name 'hight', which Options does not have",
    ),
    "suffixes": (
        "@hookimpl\ndef perfkit_importers():\n"
        "    return [ImporterSpec(name='sound', summary='', suffixes='.x', sniff=print, load=print)]",
        "suffixes='.x' is not a list of at least one file suffix",
    ),
    "twice": ("@hookimpl\ndef perfkit_exporters():\n    return [exporter(), exporter()]", "exporter 'sound' twice"),
    "unmarked": ("def perfkit_models():\n    return []", "'perfkit_models' in perfkit_mistakes.unmarked is not marked"),
    "with_argument": ("@hookimpl\ndef perfkit_models(config):\n    return []", "'config'"),
    "hook_raises": ("@hookimpl\ndef perfkit_models():\n    raise KeyError('boom')", "KeyError: 'boom'"),
    "hook_exits": ("@hookimpl\ndef perfkit_models():\n    raise SystemExit(9)", "SystemExit: 9"),
    "bad_field": ("@hookimpl\ndef perfkit_models():\n    return [model(size=3)]", "TypeError"),
    "syntax": ("def perfkit_models(:\n", "SyntaxError"),
}
"""One plugin each: what it does wrong, and what the error must say."""

PROJECTS = {
    "mistakes": Project(name="perfkit-mistakes", plugins={name: hooks(body) for name, (body, _) in MISTAKES.items()}),
    "absent": Project(name="perfkit-absent", plugins={"absent": "import a_module_that_nobody_has"}),
    "exits": Project(name="perfkit-exits", plugins={"exits": "print('hello from a plugin')\nraise SystemExit(7)"}),
    "misspelt": Project(
        name="perfkit-misspelt",
        plugins={
            "misspelt": model_plugin("net_of_misspelt", extra="@hookimpl\ndef perfkit_exporter():\n    return []\n")
        },
    ),
    "half": Project(
        name="perfkit-half",
        plugins={
            "half": hooks(
                "@hookimpl\ndef perfkit_models():\n    return 1\n"
                "@hookimpl\ndef perfkit_exporters():\n    return [exporter(name='sheet_of_half')]"
            )
        },
    ),
    "future": Project(
        name="perfkit-future",
        plugins={"future": "raise RuntimeError('an incompatible plugin must not be imported')"},
        requires=("click", "Perfkit_Core >= 99", "perfkit-core-extras; extra == 'x'"),
    ),
    "toy_a": Project(
        name="perfkit-toy-a",
        plugins={"toy_a": model_plugin("toy", width=10)},
        requires=(REQUIRES_THIS_CORE, "perfkit-core>=99; extra == 'later'"),
    ),
    "toy_b": Project(name="perfkit-toy-b", plugins={"toy_b": model_plugin("toy", width=20)}, version="2.0"),
    "same_a": Project(name="perfkit-same-a", plugins={"same": model_plugin("from_a", width=3)}),
    "same_b": Project(name="perfkit-same-b", plugins={"same": model_plugin("from_b", width=4)}),
    "twin": Project(name="perfkit-twin", plugins={"left": model_plugin("twin"), "right": model_plugin("twin")}),
}
