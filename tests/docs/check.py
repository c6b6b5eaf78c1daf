# SPDX-License-Identifier: BSD-2-Clause
"""check.py SOURCE LOCKSTEP: links of the documents lead somewhere, every document can be reached from docs/README.md, every manual page
is in its list; pages, scenarios, commands and options that they name exist; and the events of base/log_event.h are in the list of
docs/logs.md and in the journal's catalog."""

import functools
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1]).resolve()
lockstep = sys.argv[2]
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
    for path in texts:
        for name, section in re.findall(r"\b((?:lockstep|netd|clockd|web|historyd|nodes|liblockstep)[\w.-]*)\*?\((\d)\)", path.read_text()):
            if (name, section) not in pages:
                problems.append(f"{path.relative_to(root)}: {name}({section}): there is no such page")


def check_scenarios():
    scenarios = {path.stem for path in (root / "tests/net").glob("[0-9][0-9]_*.sh")}
    for path in texts:
        for name in re.findall(r"(?<![\w-])\d\d_[a-z]\w+\b", path.read_text()):
            if name not in scenarios:
                problems.append(f"{path.relative_to(root)}: there is no scenario {name}")
    numbers = {name[:2] for name in scenarios}
    for cell in re.findall(r"^\| (\d\d[\d, -]*) \|", (root / "docs/testing.md").read_text(), flags=re.M):
        for number in re.findall(r"\d\d", cell):
            if number not in numbers:
                problems.append(f"docs/testing.md: there is no scenario {number}")


@functools.cache
def help_of(command):
    return subprocess.run([lockstep, *command, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def subcommands(command):
    return set(re.findall(r"^  (\w+) ", help_of(command).partition("\nCommands:\n")[2], flags=re.M))


def check_command(line):
    """What is wrong with "lockstep WORD..."; None."""
    words = line.split()[1:]
    command = ()
    while words and subcommands(command):
        if words[0].startswith("-") or not re.fullmatch(r"[a-z]+", words[0]):
            return None
        if words[0] not in subcommands(command):
            return f"lockstep {' '.join(command)}: there is no {words[0]}"
        command += (words.pop(0),)
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_of(command), flags=re.I)) | {"--help", "--version", "--man"}
    for word in words:
        if word == "--":
            return None
        option = re.match(r"--[a-z][\w-]*", word)
        if option and option[0] not in known:
            return f"lockstep {' '.join(command)}: there is no option {option[0]}"
    return None


def check_commands():
    count = 0
    for path in texts:
        text = path.read_text()
        if path.suffix == ".md":
            lines = re.findall(r"^    .*$|^```.*?^```", text, flags=re.M | re.S) + re.findall(r"(?<!`)`([^`]+)`(?!`)", text)
        else:
            lines = re.findall(r"^```.*?^```", text, flags=re.M | re.S) + re.findall(r"\*(lockstep [^*]*)\*", text)
        for line in "\n".join(lines).splitlines():
            for part in re.split(r"[|;&()]|\$\(|  +#", line):
                found = re.match(r"[\s\w#$]*?[\s$#]?(?:sudo )?(lockstep [a-z].*)", part)
                problem = check_command(found[1]) if found else None
                count += bool(found)
                if problem:
                    problems.append(f"{path.relative_to(root)}: {part.strip()}: {problem}")
    if count < 100:
        problems.append(f"only {count} commands are found in the documents")


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


names = [path for path in root.rglob("*.md") if not re.match(r"(build|\.)", str(path.relative_to(root)))]
texts = sorted([*names, *(root / "docs/man").glob("*.scd")])
check_reached({path.resolve(): check_links(path.resolve()) for path in names})
check_pages()
check_scenarios()
check_commands()
check_events()
print("\n".join(problems))
sys.exit(1 if problems or len(names) < 10 else 0)
