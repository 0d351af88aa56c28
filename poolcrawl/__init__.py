"""poolcrawl: version and command line; the only package that imports every room.

`cli` is the command, `entry` how it begins, `streams` what it is given to say things on. Its verbs, by what they are
about: `crawling` (crawl, demo), `working` (worker), `serving` (pump), `detaching` (stop), `inspecting` (list, status,
export, audit, doctor), `explaining` (why), `comparing` (changes), `generations` (failures, retry), `trapping` (parked,
release), `steering` (pause, resume, cancel, delete).

`following` carries out one run of `crawl` or `demo`: `plan` is what was asked for, `submission` makes the crawl and
admits its seeds, `saying` has the words, `commandline` the commands in them; `rehearsal` is its `--dry-run`.
"""

__version__ = "0.1.0"
