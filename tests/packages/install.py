# SPDX-License-Identifier: BSD-2-Clause
"""install.py SOURCE BUILD: what `make install` with DESTDIR puts where, and that it works from there: programs, libraries, pkg-config,
Python, units, completion, and manual pages: one for every program, command and configuration file with all its keys, and none too
many."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

source, build = map(pathlib.Path, sys.argv[1:3])
problems = []


def output(*command, **environment):
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        problems.append(f"{' '.join(map(str, command))}: exit status {done.returncode}: {done.stdout.strip()[-400:]}")
    return done.stdout


def expect(good, text):
    if not good:
        problems.append(text)


def find(top, pattern):
    found = sorted(top.glob(pattern))
    expect(found, f"nothing is installed as {pattern}")
    return found


# ---- manual pages ----


def commands(lockstep, *words):
    """Each command with what belongs to it: ("run",), ("clock", "status"), ..."""
    help_text = output(lockstep, *words, "--help")
    for name in re.findall(r"^  (\w+) ", help_text.partition("\nCommands:\n")[2], flags=re.M):
        command = (*words, name)
        if "\nCommands:\n" in output(lockstep, *command, "--help"):
            yield from commands(lockstep, *command)
        yield command


def is_documented(command, names, pages):
    """In a page of its own; in its group's; as a group by its commands' pages; or in lockstep(1)."""
    name = "-".join(("lockstep", *command))
    if f"{name}.1" in pages or any(other.startswith(name + "-") and f"{other}.1" in pages for other in names):
        return True
    if len(command) == 1 and command[0] not in ("version", "help", "completion"):
        return False
    above = pages.get("lockstep.1" if len(command) == 1 else f"lockstep-{command[0]}.1", "")
    return re.search(rf"\\fB(?:lockstep |{command[0]} )*{command[-1]}\b", above)


def check_pages(prefix, lockstep):
    pages = {path.name: path.read_text().replace("\\-", "-") for path in find(prefix, "share/man/man*/*")}
    programs = [path.name for path in find(prefix, "bin/*") + find(prefix, "sbin/*")]
    names = {"-".join(("lockstep", *command)): command for command in commands(lockstep)}
    for program in programs:
        expect(f"{program}.1" in pages or f"{program}.8" in pages, f"{program} has no manual page")
    for command in names.values():
        expect(is_documented(command, names, pages), f"{' '.join(command)} is in no manual page")
    for page in pages:
        name, section = page.rsplit(".", 1)
        if section in "18":
            expect(name in programs or name in names, f"{page} is about no program")
    return pages


def config_keys(file):
    """The keys of a source's tables."""
    keys = set()
    for table in re.findall(r"(?:struct config_key \w+|\} keys)\[\] = \{\n(.*?)\n\};", (source / file).read_text(), flags=re.S):
        keys |= set(re.findall(r'\{"([a-z][\w-]*)"', table))
    expect(keys, f"{file}: no keys are found")
    return keys


def check_configuration(pages):
    sources = {
        "clockd.conf": ["clock/clockd_config.c"],
        "historyd.conf": ["monitor/historyd_config.c"],
        "lockstep-profile": ["stack/profile.c"],
        "lockstep-testbed.conf": ["testbed/inventory.c"],
        "netd.conf": ["service/policy.c", "service/rule.c"],
        "nodes.conf": ["tools/nodes.c"],
        "web.conf": ["monitor/web_config.c"],
    }
    for path in find(source, "debian/conf/*.conf"):
        expect(path.name in sources, f"{path.name} is not known to {sys.argv[0]}")
    for name, files in sources.items():
        keys = set().union(*map(config_keys, files))
        packed = source / "debian/conf" / name
        if packed.exists():
            keys |= set(re.findall(r"^#?([a-z][\w-]*) =", packed.read_text(), flags=re.M))
        for key in sorted(keys):
            expect(f"\\fB{key}\\fR" in pages.get(f"{name}.5", ""), f"{name}(5) does not have the key {key}")


# ---- the rest ----


def check_library(destination, libraries, scratch):
    (scratch / "t.c").write_text(
        "#include <errno.h>\n#include <lockstep/clock.h>\n"
        'int main(void) { struct lockstep_clock *c; return lockstep_clock_open("/nowhere", &c) != -ENOENT; }\n')
    pkg_config = {"PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(destination)}
    flags = output("pkg-config", "--cflags", "--libs", "lockstep-clock", **pkg_config).split()
    output("cc", "-Wall", "-Werror", scratch / "t.c", "-o", scratch / "t", *flags)
    output(scratch / "t", LD_LIBRARY_PATH=str(libraries))


def check_python(prefix, libraries):
    (package,) = find(prefix, "lib/python3*/dist-packages/lockstep")
    expect((package / "py.typed").exists(), "the Python package does not say that it is typed")
    said = output("/usr/bin/python3", "-c", "import lockstep; print(lockstep.__file__, lockstep.Clock)", PYTHONPATH=str(package.parent),
                  LD_LIBRARY_PATH=str(libraries), PYTHONDONTWRITEBYTECODE="1")
    expect(str(package) in said, f"Python takes another package: {said}")


def check_units(destination, prefix):
    for unit in find(prefix, "lib/systemd/system/*.service"):
        program = re.search(r"^ExecStart=(\S+)", unit.read_text(), flags=re.M).group(1)
        expect((destination / program.lstrip("/")).exists(), f"{unit.name} starts {program}, which is not installed")
        page = re.search(r"^Documentation=man:([\w-]+)\((\d)\)$", unit.read_text(), flags=re.M)
        expect(page and (prefix / f"share/man/man{page[2]}/{page[1]}.{page[2]}").exists(), f"{unit.name} names no manual page that there is")


def main():
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        destination = scratch / "root"
        output("meson", "install", "-C", build, "--no-rebuild", DESTDIR=str(destination))
        options = json.loads(output("meson", "introspect", "--buildoptions", build))
        prefix = destination / next(option["value"] for option in options if option["name"] == "prefix").lstrip("/")
        lockstep = prefix / "bin/lockstep"
        (library,) = find(prefix, "lib/**/liblockstep.so")
        libraries = library.parent
        expect(output(lockstep, "version").startswith("lockstep "), "lockstep version says something else")
        report = subprocess.run([lockstep, "doctor", "--json", "--all"], stdout=subprocess.PIPE, text=True)
        found = [f["finding"] for f in json.loads(report.stdout)["findings"] if f["check"] == "installation"]
        expect(found == [str(library)], f"lockstep run would preload {found}, not {library}")
        pages = check_pages(prefix, lockstep)
        check_configuration(pages)
        check_library(destination, libraries, scratch)
        check_python(prefix, libraries)
        check_units(destination, prefix)
        json.loads(find(prefix, "share/lockstep/grafana/lockstep.json")[0].read_text())
        completion = find(prefix, "share/bash-completion/completions/lockstep.bash")[0]
        output("bash", "-c", f". {completion} && complete -p lockstep")
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


main()
