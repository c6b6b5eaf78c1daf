# SPDX-License-Identifier: BSD-2-Clause
"""check.py SOURCE: links of the documents lead somewhere, every document can be reached from docs/README.md, every manual page is
in its list, and the events of base/log_event.h are in the list of docs/logs.md and in the journal's catalog."""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
problems = []


def plain(text):
    """Without code, whose brackets are no links."""
    text = re.sub(r"^(```.*?^```|(?:    ).*?)$", "", text, flags=re.M | re.S)
    return re.sub(r"``.*?``|`[^`\n]*`", "code", text)


def anchors(path):
    names = set()
    for heading in re.findall(r"^#+ (.*)$", path.read_text(), flags=re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        names.add(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-"))
    return names


def check_links(path):
    """The documents that it leads to."""
    reached = set()
    for target in re.findall(r"\]\(<?([^)\s>]+)>?\)", plain(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        end = (path.parent / name).resolve() if name else path
        if not end.exists():
            problems.append(f"{path.relative_to(root)}: {target} leads nowhere")
        elif anchor and end.suffix == ".md" and anchor not in anchors(end):
            problems.append(f"{path.relative_to(root)}: {target}: there is no such heading")
        elif end.suffix == ".md":
            reached.add(end)
    return reached


def check_reached(documents):
    index = (root / "docs/README.md").resolve()
    reached, new = set(), {index}
    while new:
        reached |= new
        new = {end for path in new if path in documents for end in documents[path]} - reached
    for path in documents:
        if (root / "docs").resolve() in path.parents and path not in reached:
            problems.append(f"{path.relative_to(root)} cannot be reached from docs/README.md")


def check_pages():
    listed = set(re.findall(r"([\w.-]+)\((\d)\)", (root / "docs/README.md").read_text()))
    pages = {tuple(path.name[: -len(".scd")].rsplit(".", 1)) for path in (root / "docs/man").glob("*.scd")}
    for name, section in sorted(pages ^ listed):
        problems.append(f"{name}({section}) is {'not' if (name, section) in pages else 'only'} in the list of docs/README.md")
    for path in sorted((root / "docs/man").glob("*.scd")):
        for name, section in re.findall(r"\*((?:lockstep|netd|clockd|web|historyd|nodes|liblockstep)[\w.-]*)\*\((\d)\)", path.read_text()):
            if (name, section) not in pages:
                problems.append(f"docs/man/{path.name}: {name}({section}): there is no such page")


def check_events():
    source = (root / "base/log_event.h").read_text()
    events = set(re.findall(r'X\(\w+, "([\w-]+)", "([0-9a-f]{32})"\)', source))
    if not events or len(events) != source.count("    X("):
        problems.append("base/log_event.h: its table cannot be read here")
    listed = set(re.findall(r"^\| `([\w-]+)` \| [\w-]+ \| `([0-9a-f]{32})` \|$", (root / "docs/logs.md").read_text(), flags=re.M))
    for name, _ in sorted(events ^ listed):
        problems.append(f"event {name}: base/log_event.h and docs/logs.md differ")
    explained = set(re.findall(r"^-- ([0-9a-f]{32})$", (root / "system/lockstep.catalog").read_text(), flags=re.M))
    for number in sorted({number for _, number in events} ^ explained):
        problems.append(f"event {number}: base/log_event.h and system/lockstep.catalog differ")


names = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
check_reached({path.resolve(): check_links(path.resolve()) for path in names})
check_pages()
check_events()
print("\n".join(problems))
sys.exit(1 if problems or len(names) < 10 else 0)
