"""The house rules that a machine can check. Each failure says in a sentence what is missing."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["sensor", "reassembly", "engines", "manager"]  # in the order of the walk
DATA = {"kibana"}  # in the wheel as well, without any Python
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
README = (ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else ""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

NO_PARSERS = {"__init__"}
NO_ENGINES = {
    "__init__",
    "verdicts",
    "outcome",
    "lane",
    "pool",
    "succession",
    "dispatch",
    "parcel",
    "scanner",
    "status",
    "places",
    "roster",
    "room",
    "spill",
    "ahead",
    "large",
    "cluster",
    "failover",
    "gates",
    "rulefiles",
}
SHAPELESS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "exceptions"}
EDGES = {"reassembly/detect.py", "engines/lane.py"}  # one flow, one scan; and one sink, anywhere in manager
LINES = 400
IMPURE = {"threading", "logging", "subprocess", "asyncio", "time", "multiprocessing", "ray", "random"}

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))


def name(path):
    return str(path.relative_to(ROOT))


def imported(path):
    """The names of all modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} imports relatively: write the package's name"
            yield node.module


@each_source
def test_imports_point_backwards_only(path):
    package = path.relative_to(ROOT).parts[0]
    later = set(PACKAGES[PACKAGES.index(package) + 1 :])
    wrong = [module for module in imported(path) if module.split(".")[0] in later]
    assert not wrong, f"{name(path)} imports {wrong} from a package further on in the walk"


def test_one_file_knows_ray():
    knowing = [name(path) for path in SOURCES if "ray" in {module.split(".")[0] for module in imported(path)}]
    assert knowing == ["engines/cluster.py"]


def test_one_file_knows_scapy():
    knowing = [name(path) for path in SOURCES if "scapy" in {module.split(".")[0] for module in imported(path)}]
    assert knowing == ["sensor/framing.py"]


@pytest.mark.parametrize("folder", ["reassembly/protocols", "engines"])
def test_no_protocol_imports_another_and_no_engine(folder):
    modules = plug_ins(folder)
    package = folder.replace("/", ".")
    for module in modules:
        others = {f"{package}.{other}" for other in modules if other != module}
        wrong = others & set(imported(ROOT / folder / f"{module}.py"))
        assert not wrong, f"{folder}/{module}.py imports {sorted(wrong)}: neighbours do not know each other"


@pytest.mark.parametrize("path", [path for path in SOURCES if "reassembly" in path.parts], ids=lambda path: path.name)
def test_reassembly_is_free_of_input_and_output(path):
    wrong = IMPURE & {module.split(".")[0] for module in imported(path)}
    if name(path) in EDGES:
        wrong -= {"logging"}
    if re.search(r"socket\.(socket|create_|getaddr|gethost)|\.connect\(", path.read_text()):
        wrong.add("socket")  # that has pure functions as well: inet_pton
    assert not wrong, f"{name(path)} imports {sorted(wrong)}: bytes in, events out, time is the packet's"


@each_source
def test_names_say_what_a_file_is(path):
    assert path.stem not in SHAPELESS, f"{name(path)}: what is in it belongs to the noun that it serves"


@each_source
def test_files_have_one_room(path):
    count = len(path.read_text().splitlines())
    assert count <= LINES, f"{name(path)} has {count} lines: more than {LINES} are two ideas"


@each_source
def test_modules_say_where_they_stand(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"


@each_source
def test_exceptions_are_caught_by_name(path):
    if name(path) in EDGES or path.is_relative_to(ROOT / "manager"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("everything", "Exception", "BaseException"), f"{name(path)}:{node.lineno}: {caught}"


def test_few_edges_catch_everything():
    handlers = sum(len(re.findall(r"except (?:Base)?Exception\b", path.read_text())) for path in SOURCES)
    assert handlers <= 5, "`except Exception` belongs to three edges: one flow, one scan, one sink"


@each_source
def test_noqa_has_a_reason(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert "# noqa" not in line or re.search(r"# noqa: [A-Z0-9, ]+ - \w", line), (
            f"{name(path)}:{number}: noqa: why?"
        )


def plug_ins(folder):
    wrong = NO_PARSERS if "protocols" in folder else NO_ENGINES
    return sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem not in wrong)


@pytest.mark.parametrize("protocol", plug_ins("reassembly/protocols"))
def test_protocols_are_whole(protocol):
    assert own_tests(protocol, "reassembly"), f"{protocol} has no test file"
    text = (ROOT / f"reassembly/protocols/{protocol}.py").read_text()
    if "class Parser" not in text:
        return
    for part in ("NAME", "PORTS", "def feed(", "def close("):
        assert part in text, f"{protocol} has no {part}"
    assert re.search(rf"^\| `{protocol}`", README, re.M), f"README's table of protocols has no row `{protocol}`"
    cases = [path for path in (ROOT / "tests/cases").iterdir() if protocol in mentioned(path)]
    assert cases, f"no case is about {protocol}: name it in a README.md under tests/cases/"


def own_tests(module, folder):
    return list((ROOT / "tests" / folder).rglob(f"test_{module}.py"))


def mentioned(case):
    readme = case / "README.md"
    return re.findall(r"`(\w+)`", readme.read_text()) if readme.exists() else []


@pytest.mark.parametrize("engine", plug_ins("engines"))
def test_engines_are_whole(engine):
    assert own_tests(engine, "engines"), f"{engine} has no test file"
    assert re.search(rf"^\| `{engine}`", README, re.M), f"README's table of engines has no row `{engine}`"


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "Target:" in path.read_text()], ids=lambda path: path.stem
)
def test_outputs_are_whole(path):
    kind = path.stem.removeprefix("output_")
    assert (ROOT / f"tests/manager/test_{path.stem}.py").exists(), f"{kind} has no test file"
    assert re.search(rf"^\| `{kind}`", README, re.M), f"README's table of outputs has no row `{kind}`"


def test_all_packages_are_in_the_wheel_and_no_others():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    there = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in SOURCES}
    assert listed == there | DATA, "pyproject.toml: [tool.setuptools] packages"
    assert {package.split(".")[0] for package in listed - DATA} == set(PACKAGES)
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_versions_are_pinned():
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in wanted}
    assert names <= pinned, "constraints.txt lacks a version"


def test_tests_have_no_packages():
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests/ has no __init__.py"


def test_no_file_is_the_test_virus(eicar):
    for path in ROOT.rglob("*"):
        if path.is_file() and not {".venv", ".git", "build"} & set(path.parts) and path.stat().st_size < 1 << 22:
            assert eicar not in path.read_bytes(), f"{name(path)}: scanners would take the project itself for malware"


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", makefile, re.M), f"README: make {target}"
