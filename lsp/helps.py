"""What `--help` teaches about each verb. Text only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Help:
    what: str
    examples: str


SERVER = Help(
    """\
Fills the hole at the cursor with a diffusion model that sees the code on both sides.

Without a verb it is a language server: it speaks LSP on standard input and output and waits for an
editor to start talking. The verbs are for the terminal; each has a --help of its own.""",
    """\
  infill-lsp                           what an editor starts
  infill-lsp fill game.py --watch      fill the holes of a file and watch it happen
  infill-lsp serve                     keep one model for many windows
  infill-lsp top                       see what it is doing, and what becomes of fills
  infill-lsp doctor                    is everything there that a fill needs?
  infill-lsp models list               which networks there are, and what fits here""",
)

FILL = Help(
    """\
Fills the holes of a file jointly and prints the change as a diff. The file itself stays as it is
unless --write is given.

Holes are
  FILE:LINE:COL          the place given: line and column counted from 1, the column in characters
  FILE                   all of the file: the marker __HOLE__ wherever it stands, and every function
                         whose whole body is `...`, `pass`, `raise NotImplementedError(...)`,
                         `todo!()` or `unimplemented!()`

The diff goes to standard output, everything else to standard error. A hole that is not filled keeps
its text, and the reason is printed. The exit status is 0 when at least one hole was filled, 1 when
none was, 2 when the file or the place cannot be used.

--json prints
  {"file": …, "holes": [{"range": {"start": {"line", "character"}, "end": …}, "text": …,
   "confidence": …, "reason": …}], "steps": …, "ms": …, "model": …}
where lines and characters are counted from 0, as in LSP, and a character is a Unicode code point.
An unfilled hole has null for text and confidence, and the reason in words; ms leaves out the time
to load the model.""",
    """\
  infill-lsp fill game.py                      show what would change
  infill-lsp fill game.py:12:5                 fill at line 12, column 5
  infill-lsp fill game.py --write              change the file
  infill-lsp fill game.py --watch              watch the canvas resolve step by step
  infill-lsp fill game.py | patch -p0          the diff is one that `patch` takes
  infill-lsp fill game.py --json | jq .holes""",
)

SERVE = Help(
    """\
Keeps one model in memory for all windows of a user, or of a team. An editor's window starts it by
itself and it ends by itself once the last one is closed, so there is rarely a reason to start it by
hand.

It listens on a Unix socket that no other user can connect to. With --listen it listens on TCP and
wants a token, sent as `Authorization: Bearer TOKEN`: that of --token-env, else one that is made
anew and written into the server's file in the runtime folder, readable by you alone. An address
that other machines can reach is refused unless a certificate and a token are given.

  POST /v1/fill     a canvas; one line of JSON for each draft
  GET  /v1/card     what the model is      GET  /v1/watch   whether it is loaded, each change a line
  GET  /healthz     whether it lives       GET  /metrics    for Prometheus
  GET  /v1/state    clients, queue, speed, memory
  POST /v1/completions, /v1/fim/completions, /infill   for clients of other servers

A client that leaves is worked for no more from the next step on. Too much at once is refused: a
body over 16 MB or 256 holes (413), more fills than --queue (429), more memory than --memory
(503). The log, beside the socket, holds no code.

With --ray it is several of these behind one address, each with its own model: one for each GPU, or
as many as --replicas says. With --replicas 1-4 there are as many as the fills in hand ask for. One
that dies is replaced. On a cluster: `serve run infill_lsp:ray_application model=bundled`.""",
    """\
  infill-lsp serve                             for the windows of this machine
  infill-lsp serve --model auto --memory 8
  INFILL_TOKEN=… infill-lsp serve --listen 0.0.0.0:8500 --token-env INFILL_TOKEN \\
      --tls-cert cert.pem --tls-key key.pem    for a team
  infill-lsp serve --ray --replicas 2          two models behind one address
  curl --unix-socket PATH http://server/v1/state""",
)

TOP = Help(
    """\
Shows what your servers are doing, anew each second: the model and its memory, who asks it, how many
fills are in work and waiting, how long a step takes, how fills ended, and why windows showed
nothing. q or ctrl-c ends it. Where standard output is no terminal it is shown once.

Below stands what became of fills: how many were shown, accepted, accepted in part (by word or
line), and still there a minute later, or when the file was closed. Editors that tell when ghost
text is accepted are believed; for the rest it is told by what appears in the text at once. Each
window counts that by day and language in one file on this machine, which holds no code and no
names of files and is sent nowhere; the setting `statistics` switches it off, and to delete the file
is to forget: infill-lsp/statistics.json in your folder for state (on Linux ~/.local/state), or in
the one that INFILL_STATE_DIR names.

The exit status is 1 when no server answers. A server that was named with a token is sent the one in
INFILL_TOKEN.""",
    """\
  infill-lsp top
  infill-lsp top --once --days 7               the last week, too
  infill-lsp top --json | jq '.servers[].state.clients'
  infill-lsp top --server https://gpu.example:8500""",
)

DOCTOR = Help(
    """\
Says what is installed, which device and which model are used and where the model lies, loads every
grammar, looks whether private files are kept from the model, and fills a small hole to see that it
works. The exit status is 1 when something is broken; each broken line says what to do.""",
    """\
  infill-lsp doctor
  infill-lsp doctor --model ./my-weights
  infill-lsp doctor --json | jq '.checks[] | select(.ok == false)'""",
)

MODELS = Help(
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

MODELS_LIST = Help(
    """\
All networks of the catalog: size of the weights, about what memory it needs, whether that is free
now (`slow`: it is, but without a GPU a fill takes too long while you type), whether all its files
are on disk, how a fill gets its length (`grow`: the network adds and deletes masks itself;
`choose`: several lengths are tried), and its licence. Then what `--model auto` is.""",
    """\
  infill-lsp models list
  infill-lsp models list --json | jq -r '.networks[] | select(.on_disk) | .id'""",
)

MODELS_INFO = Help(
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

MODELS_PULL = Help(
    """\
Fetches a network of the catalog, or any other of the hub by its id (owner/name). First it looks
whether there is room on the disk for what is missing. Files that are complete are kept whatever
happens, so after a break the same command goes on; ctrl-c ends it at any time.""",
    """\
  infill-lsp models pull DreamOn-v0-7B
  HF_HOME=/big/disk infill-lsp models pull DreamOn-v0-7B
  HF_TOKEN=hf_… infill-lsp models pull owner/private-network""",
)

MODELS_RM = Help(
    """\
Removes a network from huggingface_hub's cache, all revisions of it and what broken downloads left,
and says how much that frees. It asks first. Other programs that use the same weights have to fetch
them again.""",
    """\
  infill-lsp models rm DreamOn-v0-7B
  infill-lsp models rm DreamOn-v0-7B --yes     without being asked""",
)

EVAL = Help(
    """\
Measures how good fills are, on suites in the format of HumanEval-Infilling: one JSON object a line
with task_id, prompt, suffix, canonical_solution, test and entry_point. Suites that --cut makes have
no tests, and say of each task its kind, its package, and where several holes are.

Each task goes the way of an editor's request: the document is prompt + suffix, the cursor stands
between them, on a line of its own where the suite took out whole lines. Where several lines are
missing the hole is said to be of several lines, which a cursor cannot say unless it stands behind a
header; several holes of a file are filled jointly. The result is run with the task's test in a
process of its own, with limits on time and memory, in an empty folder. That is a guard against
accidents, not against malice: run suites and models that you trust.

  pass@1         the tests run clean, and something was filled
  exact          the fill is the missing text, spaces at both ends apart
  right          pass@1 where there is a test, exact where there is none
  precision      right among those shown
  similarity     1 where the fill is the missing text, 0 where nothing was filled
  parses         prompt + fill + suffix is valid Python, all tasks
  shown parses   the same among fills shown in files that parsed before; should be 100 %

Everything is asked for once with min_confidence at 0. From the confidence of each fill follows what
the editor shows at its own min_confidence (the gate), and at any other. --samples keeps a row for
each hole, from which bench/plots.py draws.

--renamed gives every name that a task's code defines another one, in the test too: a model that
knows code rather than these very files does about as well.

--cut makes suites out of the files of a corpus (`infill-lsp corpus`) that no model is trained on:
dev-KIND.jsonl.gz to choose settings by and test-KIND.jsonl.gz to report, of other packages, with a
renamed copy of each. The kinds are
  line, margin   a line of a function, the cursor behind the indentation or at the margin
  rest           from a token to the line's end
  expression     an expression within a line
  word           from the middle of a name to its end
  block          two to five lines, whole statements
  several        two to four holes on lines near each other""",
    """\
  infill-lsp eval HumanEval-SingleLineInfilling.jsonl.gz --limit 50
  infill-lsp eval suite.jsonl --json --samples rows.jsonl >report.json
  infill-lsp eval suite.jsonl --gold           do the suite's own solutions pass?
  infill-lsp eval --cut corpus.jsonl.xz --out suites
  infill-lsp eval suites/test-*.jsonl.gz       all kinds in one report""",
)

BENCH = Help(
    """\
Measures on this machine: the time of a fill and where it goes (context, queue, steps, tidy), a fill
that is remembered while it is typed along, the server's answer to `initialize`, its memory with and
without the model, and whether any step starts after a cancel.""",
    """\
  infill-lsp bench
  infill-lsp bench --fills 200 --json""",
)

CORPUS = Help(
    """\
Gathers the text that the bundled model is trained on into one file that can be carried: the
standard library, the project's installed dependencies, and pinned packages that pip downloads but
does not install. `infill-lsp corpus --help` shows its options once infill-lsp[train] is there.""",
    """\
  infill-lsp corpus --out corpus.jsonl.xz
  infill-lsp corpus --exclude SUITE.jsonl.gz   leave out what shares 13 words in a row with it""",
)

TRAIN = Help(
    """\
Trains the bundled model anew from Python source; a run that was stopped, in whatever way, goes on
from its last checkpoint. Needs torch and more: pip install 'infill-lsp[train]'. With that installed
`infill-lsp train --help` shows its options.""",
    """\
  infill-lsp train --minutes 60
  infill-lsp train --corpus corpus.jsonl.xz --size 20m --minutes 25 --slice 9
  infill-lsp train --finish 3          end a run that was cut short""",
)
