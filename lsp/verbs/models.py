"""`infill-lsp models`: networks of others are listed, told of, fetched and removed."""

from __future__ import annotations

import argparse

from lsp.verbs.options import Help, Verbs, described
from model.published.keys import with_keys

HELP = Help(
    """\
Shows which networks of others can be used instead of the bundled one, and fetches and removes their
weights. Nothing is ever fetched unless you say `pull`.

Their files lie in huggingface_hub's cache, shared with other programs: HF_HOME says where, HF_TOKEN
or `hf auth login` who you are, HTTPS_PROXY how to get out. Only safetensors, configs and tokenizers
are fetched, at the revision that was looked at where there is one. Without a network, or with
HF_HUB_OFFLINE=1, everything but `pull` works, and so does each network that is on disk.""",
    """\
  infill-lsp models list                       what there is, on disk or not, and what fits here
  infill-lsp models info open-dcoder-0.5B      licence, special tokens, memory, where it lies
  infill-lsp models pull open-dcoder-0.5B      fetch it; after a break the same command goes on
  infill-lsp fill game.py --model open-dcoder-0.5B
  infill-lsp models rm open-dcoder-0.5B        remove it from the cache""",
)


LIST = Help(
    """\
All networks of the catalog: size of the weights, about what memory it needs, whether that is free
now (`slow`: it is, but without a GPU a fill takes too long while you type), whether all its files
are on disk, how a fill gets its length (`grow`: the network adds and deletes masks itself;
`choose`: several lengths are tried), and its licence. Then what `--model auto` is.""",
    """\
  infill-lsp models list
  infill-lsp models list --json | jq -r '.networks[] | select(.on_disk) | .id'""",
)


INFO = Help(
    """\
All that is known of a network: its licence and what that limits, its special tokens, the revision
that is used, what of it was verified here, where it lies, and the memory it needs (weights by
arithmetic; the room to work in is an estimate, for the largest batch).

With --model-keys it is shown as `model_keys` in your settings would have it. Besides what the
catalog says of a network, which they may overrule, the keys choose
  length     how a hole gets its length: grow (where the network can), choose (by what lies beside
             the weights, else CAL), calibrated (CAL), regressed (LR-DLLM's first stage: before the
             first token), adjusted (both its stages: written from the left, the length looked at
             again before each token), power, probe (python -m model.lengths.probe trains one),
             fixed
  masks      how many a hole starts with; limit: how many tokens it may grow to; budget: how often
  decoding   ours, or published: the authors' rule and sampling, no counts
  sampling   that rule and sampling: temperature, top_p, order, rule (one, even, p2), steps, block
  frozen     after how many steps what surrounds the holes is computed anew: an approximation
  weights    what they are held as: bfloat16, float32, int8, float8
and of DiffusionGemma, which has no masks,
  mode       clamped: what follows a hole stands on its canvas; prompted: it is told beforehand, and
             the network ends the hole itself; auto: clamped within lines and for several holes
  prompt     how many tokens are laid out before a hole; canvas: how many are refined at once;
             limit: how many a hole may have; steps: how many are made at most
  weights    bfloat16, float32, or its experts alone as float8 or int4; else what fits""",
    """\
  infill-lsp models info DreamOn-v0-7B
  infill-lsp models info Dream-org/DreamOn-v0-7B --json | jq .memory
  infill-lsp models info LLaDA-8B-Base --model-keys '{"length": "adjusted", "weights": "int8"}'
  infill-lsp models info diffusiongemma-26B-A4B-it --model-keys '{"weights": "int4"}'""",
)


PULL = Help(
    """\
Fetches a network of the catalog, or any other of the hub by its id (owner/name). First it looks
whether there is room on the disk for what is missing. Files that are complete are kept whatever
happens, so after a break the same command goes on; ctrl-c ends it at any time.""",
    """\
  infill-lsp models pull DreamOn-v0-7B
  HF_HOME=/big/disk infill-lsp models pull DreamOn-v0-7B
  HF_TOKEN=hf_… infill-lsp models pull owner/private-network""",
)


REMOVE = Help(
    """\
Removes a network from huggingface_hub's cache, all revisions of it and what broken downloads left,
and says how much that frees. It asks first. Other programs that use the same weights have to fetch
them again.""",
    """\
  infill-lsp models rm DreamOn-v0-7B
  infill-lsp models rm DreamOn-v0-7B --yes     without being asked""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("models", help="list, fetch and remove networks"), HELP)
    inner = verb.add_subparsers(title="verbs", metavar="VERB", required=True)
    one = described(inner.add_parser("list", help="what there is, and what fits here"), LIST)
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(verb=listed)
    one = described(inner.add_parser("info", help="all that is known of one"), INFO)
    one.add_argument("id", metavar="ID", help='owner/name; the name is enough; or "bundled"')
    one.add_argument("--json", action="store_true", help="print one JSON object")
    with_keys(one, argparse.SUPPRESS)
    one.set_defaults(verb=told)
    one = described(inner.add_parser("pull", help="fetch its weights"), PULL)
    one.add_argument("id", metavar="ID", help="owner/name; the name is enough for a known one")
    one.set_defaults(verb=pulled)
    one = described(inner.add_parser("rm", help="remove its weights"), REMOVE)
    one.add_argument("id", metavar="ID", help="owner/name; the name is enough for a known one")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.set_defaults(verb=removed)


def listed(options: argparse.Namespace) -> int:
    from lsp.models import show_list

    return show_list(as_json=options.json)


def told(options: argparse.Namespace) -> int:
    from lsp.models import show_info

    return show_info(options.id, keys=options.model_keys, as_json=options.json)


def pulled(options: argparse.Namespace) -> int:
    from lsp.pull import fetch

    return fetch(options.id)


def removed(options: argparse.Namespace) -> int:
    from lsp.pull import remove

    return remove(options.id, yes=options.yes)
