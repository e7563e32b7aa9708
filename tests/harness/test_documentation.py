"""The documentation: its code runs, its commands, paths and links exist, and its citations lead somewhere."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ladder.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "tests" / "ladder").glob("*.py"))]
SOURCES = ROOT / "docs" / "sources.md"

FILE = re.compile(r"# (\S+\.py)\n")
COMMAND = re.compile(r"(?<![\w-])(pytest|nightly\.py|ladder [a-z]+)(?![\w-])([^&|#\n]*)")
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
INI_OPTION = re.compile(r"\bladder_[a-z]\w*")
PATH = re.compile(r"(?<![\w./<-])(?:tests|src|docs|benchmarks|mutation|\.ci|\.github)/[\w./-]*(?![\w./<*-])")
NAME = re.compile(r"\bladder(?:\.\w+)+\b(?<!\.json)(?<!\.md)(?<!\.html)")
TITLE = re.compile(r"(?<![\w*])\*[A-Z][-\w ':]+\*(?![\w*])")
PAPER = re.compile(r"[A-Z]\w+(?: et al\.| and [A-Z]\w+)?,? \(?(?:18|19|20)\d\d\b")
DOCUMENT = re.compile(r"status documents?(?: (?:of the|on) \w+)?|debug plan|sakaguchi|patch [A-E]\b|picking the lock")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def tokens(page, kind):
    """Return the Markdown tokens of one type, also those in paragraphs and tables."""
    parsed = MarkdownIt().enable("table").parse(page.read_text())
    return [token for block in parsed for token in (block, *(block.children or ())) if token.type == kind]


def shown(page):
    """Return the text of every console block and of all code inside sentences."""
    blocks = [token.content for token in tokens(page, "fence") if token.info == "console"]
    return blocks + [token.content for token in tokens(page, "code_inline")]


def anchors(page):
    """Return the anchors of a page: those of its headings, as GitHub makes them, and its own."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', page.read_text()))


def one_line(file):
    """Return the text of a file with comments, without line breaks and the punctuation of citations."""
    return re.sub(r"[(),]", "", " ".join(re.sub(r"\n *#", " ", file.read_text()).split()))


@pytest.fixture(scope="module")
def options():
    """The options of the programs that pages run, by name; a ladder command that does not exist has none."""

    def of(run, *arguments):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            run([*arguments, "--help"])
        return output.getvalue()

    nightly = (ROOT / ".ci" / "nightly.py").read_text()  # it passes to pytest what it does not know itself
    helps = {"pytest": of(pytest.main), "nightly.py": of(pytest.main) + nightly}
    for command in ("show", "explain", "list", "open", "compare", "history", "export"):
        helps[f"ladder {command}"] = of(main, command)
    return {program: set(OPTION.findall(text)) | set(INI_OPTION.findall(text)) for program, text in helps.items()}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text()], ids=lambda page: page.stem
)
def test_python_of_a_page(page, pytester, compiled):
    """The Python blocks of a page run in order; a block that begins with a file's name is that file."""
    if "import torch" in page.read_text():
        pytest.importorskip("torch")
    pytester.syspathinsert()
    pytester.makeini("[pytest]\nladder_seeds = 16\n")
    files = {}
    for token in tokens(page, "fence"):
        if token.info == "python":
            name = FILE.match(token.content)
            files.setdefault(name[1] if name else "page.py", []).append(token)
    for name, blocks in files.items():
        text = ""
        for block in blocks:
            text += "\n" * (block.map[0] + 1 - text.count("\n")) + block.content  # line numbers are those of the page
        file = pytester.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    for name in files:
        if name.startswith("test_"):
            assert pytester.runpytest(name).ret == 0
        else:
            importlib.import_module(name.removesuffix(".py").replace("/", "."))


@pytest.mark.parametrize(
    "file", [file for file in CODE if ">>> " in file.read_text()], ids=lambda file: str(file.relative_to(ROOT / "src"))
)
def test_docstrings(file):
    """The examples in a module's docstrings print what they say."""
    if file.name == "torch.py":
        pytest.importorskip("torch")
    module = importlib.import_module(".".join(file.relative_to(ROOT / "src").with_suffix("").parts))
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert tried > 0
    assert failed == 0


@each_page
def test_commands(page, options):
    """The commands that a page shows exist, and so do their options and the ini file's."""
    everything = set.union(*options.values())
    for text in shown(page):
        for program, arguments in COMMAND.findall(text):
            assert set(OPTION.findall(arguments)) <= options[program], text
        if text.startswith("-"):
            assert set(OPTION.findall(text)) <= everything, text
        assert set(INI_OPTION.findall(text)) <= everything, text


@each_page
def test_paths_and_names(page):
    """The paths and the names of Python objects that a page mentions exist."""
    for text in shown(page):
        for path in PATH.findall(text):
            assert (ROOT / path).exists(), path
        for name in NAME.findall(text):
            if not name.startswith("ladder.torch") or find_spec("torch"):
                pkgutil.resolve_name(name)


@each_page
def test_links(page):
    """Links and pictures within the repository lead to a file, and to a heading of it."""
    targets = [token.attrs["href"] for token in tokens(page, "link_open")]
    for target in targets + [token.attrs["src"] for token in tokens(page, "image")]:
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_citations():
    """Each claim, document, title and paper that code or a page cites is listed in docs/sources.md."""
    sources = one_line(SOURCES)
    documents = re.findall(r"^\|.*", SOURCES.read_text().partition("## Claims")[0], re.MULTILINE)
    claims = set(re.findall(r'<a id="[^"]+"></a>([A-Z]+-\d+)', SOURCES.read_text()))
    claim = re.compile(rf"\b(?:{'|'.join({id.partition('-')[0] for id in claims})})-\d+\b")
    missing = []
    for file in [*CODE, *PAGES]:
        text = one_line(file)
        literature = [*PAPER.findall(text), *(TITLE.findall(text) if file in CODE else ())]
        missing += [(file.name, each) for each in literature if each.strip("*") not in sources]
        missing += [(file.name, each) for each in DOCUMENT.findall(text) if each not in "".join(documents)]
        missing += [(file.name, each) for each in claim.findall(text) if each not in claims]
    assert missing == []
