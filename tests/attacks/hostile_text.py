"""YAML and JSON files that a forum might hold."""

from __future__ import annotations

from attack import Attack, data, text
from hostile_arrays import sparse

from vacc_deploy.config import load_build_config, load_vdsp_params
from vacc_deploy.safe_io import read_json, read_lines, read_yaml

_ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
_BUILD = """\
name: {name}
frontend: {{type: onnx, checkpoint: m.onnx, shape: {{input: {shape}}}}}
backend: {{type: tvm_vacc, dtype: int8}}
"""

TEXT_ATTACKS = {
    "yaml-alias-bomb": Attack(
        "726 bytes that expand to 9^9 values: any validator that walks them hangs",
        "a.yaml",
        text(_ALIAS_BOMB),
        read_yaml,
        "after aliases are expanded",
    ),
    "yaml-cyclic-alias": Attack(
        "a list that contains itself: walking it never ends",
        "a.yaml",
        text("a: &a [*a]\n"),
        read_yaml,
        "no complete anchor",
    ),
    "yaml-merge-bomb": Attack(
        "the alias bomb by merge keys",
        "a.yaml",
        text(
            "a: &a {"
            + ", ".join(f"k{i}: 1" for i in range(999))
            + "}\n"
            + "".join(f"m{i}: {{<<: [{', '.join(['*a'] * 30)}]}}\n" for i in range(30))
        ),
        read_yaml,
        "after aliases are expanded",
    ),
    "yaml-deep-flow": Attack(
        "100 000 open brackets: quadratic scanning and a RecursionError",
        "a.yaml",
        text("[" * 100_000),
        read_yaml,
        "levels deep",
    ),
    "yaml-deep-block": Attack(
        "a thousand indented levels",
        "a.yaml",
        text("".join(" " * depth + "k:\n" for depth in range(1000))),
        read_yaml,
        "levels deep",
    ),
    "yaml-python-object": Attack(
        "a tag that makes PyYAML's full loader run a command",
        "a.yaml",
        text("a: !!python/object/apply:os.system [touch pwned]\n"),
        read_yaml,
        "tag",
    ),
    "yaml-custom-tag": Attack(
        "an unknown tag", "a.yaml", text("a: !include /etc/passwd\n"), read_yaml, "tag"
    ),
    "yaml-duplicate-key": Attack(
        "two values of one key: reviewers see the first, parsers take the last",
        "a.yaml",
        text("dtype: fp16\ndtype: int8\n"),
        read_yaml,
        "stands twice, first on line 1",
    ),
    "yaml-two-documents": Attack(
        "a second document", "a.yaml", text("a: 1\n---\na: 2\n"), read_yaml, "second document"
    ),
    "yaml-octal": Attack(
        "010 is 8 to some parsers and 10 to others", "a.yaml", text("a: 010\n"), read_yaml, "octal"
    ),
    "yaml-infinity": Attack("a number that is none", "a.yaml", text("a: .inf\n"), read_yaml, "finite"),
    "yaml-overflow": Attack("a number beyond float64", "a.yaml", text("a: 1e999\n"), read_yaml, "64-bit"),
    "yaml-million-digits": Attack(
        "int() is quadratic in the digits", "a.yaml", text("a: " + "9" * 500_000), read_yaml, "finite"
    ),
    "yaml-too-large": Attack("4 MiB of YAML", "a.yaml", text("# " + "x" * (4 << 20)), read_yaml, "too large"),
    "yaml-too-many-values": Attack(
        "200 000 values in 400 kB", "a.yaml", text("[" + "1," * 200_000 + "1]"), read_yaml, "values"
    ),
    "yaml-binary": Attack("not text at all", "a.yaml", data(bytes(range(256)) * 4), read_yaml, "UTF-8"),
    "yaml-utf16": Attack("another encoding", "a.yaml", data("a: 1\n".encode("utf-16")), read_yaml, "UTF-8"),
    "yaml-null-characters": Attack(
        "text cut by a null for C programs", "a.yaml", text("a: b\0c\n"), read_yaml, "null"
    ),
    "yaml-tab-indent": Attack("tabs", "a.yaml", text("a:\n\tb: 1\n"), read_yaml, "not valid YAML"),
    "yaml-unclosed-quote": Attack("a broken file", "a.yaml", text('a: "b\n'), read_yaml, "not valid YAML"),
    "yaml-web-page": Attack(
        "the page instead of the file", "a.yaml", data(b"<!DOCTYPE html>\xff"), read_yaml, "web page"
    ),
    "build-empty": Attack("an empty build YAML", "a.yaml", text(""), load_build_config, "empty"),
    "build-list": Attack("a list where sections belong", "a.yaml", text("[1, 2]"), load_build_config, "list"),
    "build-name-leads-out": Attack(
        "an artifact's name that leaves the workspace",
        "a.yaml",
        text(_BUILD.format(name="../../etc/cron.d/x", shape="[1, 3, 8, 8]")),
        load_build_config,
        "folder's name",
    ),
    "build-huge-shape": Attack(
        "a shape that asks for exabytes",
        "a.yaml",
        text(_BUILD.format(name="x", shape="[1, 999999999999, 99999999, 9]")),
        load_build_config,
        "whole numbers from 1",
    ),
    "build-rank-bomb": Attack(
        "a shape of 10 000 dimensions",
        "a.yaml",
        text(_BUILD.format(name="x", shape="[" + "1," * 10_000 + "1]")),
        load_build_config,
        "1 to 8 numbers",
    ),
    "build-many-unknown-keys": Attack(
        "5 000 misspelt keys: looking for what was meant takes a second for every thousand",
        "a.yaml",
        text(
            _BUILD.format(name="x", shape="[1, 3, 8, 8]") + "".join(f"fronten{k}: 1\n" for k in range(5_000))
        ),
        load_build_config,
        "unknown key",
    ),
    "json-many-values": Attack(
        "a million empty lists: 3 bytes in the file and 64 in memory",
        "a.json",
        text("[" + "[]," * 1_000_000 + "[]]"),
        read_json,
        "values",
    ),
    "json-wide-text": Attack(
        "one wide character makes Python store four bytes for each of the others",
        "a.json",
        text('"' + "a" * (15 << 20) + '\U0001f600"'),
        read_json,
        "not an object",
    ),
    "json-deep": Attack(
        "100 000 open brackets", "a.json", text("[" * 100_000 + "]" * 100_000), read_json, "levels deep"
    ),
    "json-deep-objects": Attack(
        "nested objects", "a.json", text('{"a":' * 5000 + "1" + "}" * 5000), read_json, "levels deep"
    ),
    "json-quote-storm": Attack(
        "an unterminated string of escaped quotes: quadratic for a naive tokenizer",
        "a.json",
        text("[" * 40 + '"' + '\\"' * 500_000),
        read_json,
        "levels deep",
    ),
    "json-duplicate-key": Attack(
        "two values of one key", "a.json", text('{"OpType": "A", "OpType": "B"}'), read_json, "stands twice"
    ),
    "json-nan": Attack(
        "NaN is not JSON", "a.json", text('{"Mean": NaN}'), read_json, "not a number that JSON knows"
    ),
    "json-half-character": Attack(
        "a lone surrogate: whoever writes it again as UTF-8 fails with an error of Python's own",
        "a.json",
        text('{"name": "\\ud800"}'),
        read_json,
        "half a character",
    ),
    "json-overflow": Attack(
        "1e999 becomes infinity", "a.json", text('{"Mean": 1e999}'), read_json, "64-bit float"
    ),
    "json-million-digits": Attack(
        "a huge integer", "a.json", text('{"a": ' + "9" * 500_000 + "}"), read_json, "digits"
    ),
    "json-truncated": Attack("half a file", "a.json", text('{"OpType": '), read_json, "not valid JSON"),
    "json-not-object": Attack(
        "a list where an object belongs", "a.json", text("[1]"), read_json, "not an object"
    ),
    "json-trailing": Attack("something after the end", "a.json", text("{} {}"), read_json, "not valid JSON"),
    "vdsp-other-json": Attack(
        "some other JSON", "a.json", text('{"version": 1}'), load_vdsp_params, "OpType"
    ),
    "vdsp-zero-std": Attack(
        "division by zero in every picture",
        "a.json",
        text(
            '{"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": '
            '{"NormaType": "MINUSMEAN_DIVSTD", "Mean": [0, 0, 0], "Std": [0, 0, 0]}}'
        ),
        load_vdsp_params,
        "nothing can be divided",
    ),
    "vdsp-huge-size": Attack(
        "a picture of 10^18 pixels",
        "a.json",
        text(
            '{"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": {"OimageWidth": 1000000000}}'
        ),
        load_vdsp_params,
        "whole number from 1 to 65536",
    ),
    "vdsp-many-keys": Attack(
        "9 000 unknown keys: looking for what was meant takes a second for every thousand",
        "a.json",
        text(
            '{"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": {'
            + ", ".join(f'"OimageWidt{k}": 1' for k in range(9_000))
            + "}}"
        ),
        load_vdsp_params,
        "9000 keys",
    ),
    "vdsp-many-operators": Attack(
        "50 000 operators", "a.json", text("[" + "{}," * 50_000 + "{}]"), load_vdsp_params, "operators"
    ),
    "vdsp-old-bad-bits": Attack(
        "a bit pattern that is infinity in fp16",
        "a.json",
        text('{"vdsp_op_type": 301, "meanr": 31744, "norma_type": 4}'),
        load_vdsp_params,
        "bit pattern",
    ),
    "datalist-many-lines": Attack(
        "two million lines of one letter", "list.txt", text("a\n" * 2_000_000), read_lines, "lines"
    ),
    "json-sparse-giant": Attack(
        "15 MiB of null characters that take no disk space", "a.json", sparse(15 << 20), read_json, "null"
    ),
    "datalist-binary": Attack(
        "a datalist that is not text", "list.txt", data(b"\xff\xfe\x00"), read_lines, "UTF-8"
    ),
}
