"""The inspector without a browser: its form, its process, and whom it answers."""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer

import flows
from flows.cli.inspector import form, server, worker
from flows.cli.inspector.worker import Progress, Runner, Selection
from flows.cli.main import main
from flows.cli.options import FLOW
from flows.core.errors import InputError
from flows.systems.registry import OPTIONS, SYSTEMS

PATIENCE = 120  # seconds: no test is about speed
DEEP = 100_000  # levels of JSON, more than a parser goes down
SMALL = {"n": "2", "d": "1", "scale": "1", "seed": "0", "t_end": "10"}


def test_the_form_has_a_field_for_every_option_of_every_system():
    made = {field.name: field for field in form.fields({})}
    for name, own in OPTIONS.items():
        for option in {o.name for o in (*FLOW, *own)}:
            for_it = (name, option) not in {("matrix_factorization", "n"), ("two_layer", "n")}
            assert (name in made[option].systems) == for_it
    assert made["t_end"].value == "1e9"
    assert made["weights"].systems == ("gmm_em",)


def test_what_the_command_line_gives_stands_in_the_form():
    given = {"n": 7, "scale": 0.25, "weights": [0.25, 0.75], "balanced": True, "rtol": 1e-8}
    made = {field.name: field.value for field in form.fields(given)}
    assert (made["n"], made["scale"], made["weights"]) == ("7", "0.25", "0.25,0.75")
    assert (made["balanced"], made["rtol"]) == ("yes", "1e-8")


def test_texts_mean_what_they_mean_on_the_command_line(tmp_path):
    texts = {**SMALL, "weights": "0.3,0.7", "depth": "9", "rtol": ""}
    options = form.parsed("gmm_em", texts, tmp_path)
    assert (options["n"], options["t_end"], options["weights"]) == (2, 10.0, [0.3, 0.7])
    assert options["depth"] is None and options["rtol"] is None
    _, start = SYSTEMS["gmm_em"].from_options(options)
    assert (start == flows.GMMEM(2, 1, [0.3, 0.7]).initial(1.0, 0)).all()
    texts = {**SMALL, "initial": "[[1, 2], [3, 4]]"}
    _, start = SYSTEMS["gmm_em"].from_options(form.parsed("gmm_em", texts, tmp_path))
    assert start.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        ({"n": "0"}, "not in the range"),
        ({"n": "two"}, "not a valid int"),
        ({"weights": "a"}, "separated by commas"),
        ({"t_eval": "1,b"}, "separated by commas"),
        ({"n": "1 --method=BDF"}, "not a valid int"),
    ],
)
def test_bad_texts_are_refused_as_on_the_command_line(tmp_path, capsys, texts, word):
    with pytest.raises(InputError, match=word) as error:
        form.parsed("gmm_em", texts, tmp_path)
    (name,) = texts
    assert form.field_of(str(error.value)) == name
    flag = "--" + name.replace("_", "-")
    assert main(["run", "gmm_em", "--t-end", "1", f"{flag}={texts[name]}"]) == 2
    assert str(error.value).rstrip(".") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("scale must be positive, got -1", "scale"),
        ("t_end must be finite", "t_end"),
        ("--noise-time: expected a number", "noise_time"),
        ("initial.json: bad", "initial"),
        ("unknown method 'x'; known: auto", "method"),
        ("nothing of the kind", None),
    ],
)
def test_a_message_finds_its_field(message, name):
    assert form.field_of(message) == name


def test_the_command_repeats_the_run(tmp_path, monkeypatch, capsys):
    texts = {**SMALL, "t_eval": "1,2 ,10", "initial": "[[1.0],\n [-0.5]]"}
    echo, command = form.command("gmm_em", texts).split(" &&\n")
    assert "--n" not in command
    monkeypatch.chdir(tmp_path)
    words = shlex.split(echo)
    (tmp_path / words[-1]).write_text(words[1])
    program, _, *rest = shlex.split(command)
    assert program == "popflow"
    assert main(["run", *rest, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["t"] == [0.0, 1.0, 2.0, 10.0]
    assert (
        printed["final_state"]
        == flows.integrate(flows.GMMEM(2, 1), [[1.0], [-0.5]], 10.0, t_eval=[1, 2, 10])
        .state[-1]
        .tolist()
    )


@pytest.mark.parametrize("content", [None, b"not a result"])
def test_a_file_that_cannot_be_read_is_refused_before_a_page_is_served(
    tmp_path, capsys, monkeypatch, content
):
    monkeypatch.setattr(server, "serve", lambda *given: pytest.fail("served"))
    path = tmp_path / "run.nc"
    if content is not None:
        path.write_bytes(content)
    assert main(["inspect", str(path), "--no-browser"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("popflow: error: ") and printed.count("\n") == 1


@pytest.fixture(scope="module")
def runner():
    made = Runner()
    yield made
    made.close()


def ended(runner):
    """Wait for the end of a run."""
    last = time.monotonic() + PATIENCE
    while runner.poll().status == "running":
        assert time.monotonic() < last
        time.sleep(0.02)
    return runner.progress


def test_a_run_is_computed_checked_and_shown(runner):
    assert runner.start(Selection("gmm_em", SMALL)) == runner.progress.number
    assert runner.start(Selection("gmm_em", SMALL)) == 0, "one at a time"
    done = ended(runner)
    assert (done.status, done.fraction) == ("done", 1.0)
    system = flows.GMMEM(2, 1)
    run = flows.integrate(system, system.initial(1.0, 0), 10.0)
    assert repr(float(run["loss"][-1])) in done.html
    words = re.sub(r"<[^>]*>", "", done.html)
    assert "popflow check gmm_em --n 2" in words.replace("--t-end 10 ", "")


def test_bad_input_comes_back_with_its_field(runner):
    runner.start(Selection("gmm_em", {**SMALL, "scale": "-1"}))
    failed = ended(runner)
    assert (failed.status, failed.field) == ("failed", "scale")
    runner.start(Selection("gmm_em", {**SMALL, "initial": "[[1], [2, 3]]"}))
    failed = ended(runner)
    assert (failed.status, failed.field) == ("failed", "initial")
    assert failed.message.startswith("initial.json: expected JSON nested lists")


def test_a_cancelled_run_keeps_what_it_has(runner):
    runner.start(
        Selection("relu_neuron", {**SMALL, "d": "3", "t_end": "1e12", "method": "reference"})
    )
    while "t =" not in runner.poll().message:
        assert runner.progress.status == "running"
        time.sleep(0.02)
    assert 0 <= runner.progress.fraction < 1
    runner.cancel()
    done = ended(runner)
    assert done.status == "done"
    assert "interrupted" in done.html


def test_a_run_that_does_not_heed_is_ended_and_the_next_one_runs(runner, monkeypatch):
    monkeypatch.setattr(worker, "GRACE", 0.0)
    runner.start(
        Selection("relu_neuron", {**SMALL, "d": "3", "t_end": "1e12", "method": "reference"})
    )
    runner.cancel()
    assert ended(runner).status == "cancelled"
    runner.start(Selection("gmm_em", SMALL))
    assert ended(runner).status == "done"


def test_a_process_that_ended_is_reported_and_replaced(runner):
    runner.start(Selection("gmm_em", SMALL))
    os.kill(runner._process.pid, signal.SIGKILL)
    assert ended(runner).status == "failed"
    assert "has ended" in runner.progress.message
    runner.start(Selection("gmm_em", SMALL))
    assert ended(runner).status == "done"


def test_hostile_text_is_shown_as_text(runner):
    runner.start(Selection("gmm_em", {**SMALL, "t_eval": "1,2", "seed": " 0 "}))
    assert ended(runner).status == "done"
    runner.start(Selection(file="<script>alert(1)</script>.nc"))
    failed = ended(runner)
    assert failed.status == "failed" and "no such file" in failed.message
    assert failed.html == ""


class Fake:
    """A runner that only remembers."""

    def __init__(self):
        self.jobs, self.cancelled, self.progress = [], 0, Progress()

    def start(self, job):
        self.jobs.append(job)
        return len(self.jobs) % 2

    def poll(self):
        return self.progress

    def cancel(self):
        self.cancelled += 1


def ask(method="GET", path="/run", headers=None, body=None, host=None):
    """Status and text that a server gives, and its runner."""
    fake = Fake()

    async def request():
        bound = server._listen(0)
        name, port = bound.getsockname()
        assert name == "127.0.0.1"
        http = HTTPServer(server.application(fake, Selection("gmm_em"), {}, port))
        http.add_socket(bound)
        sent = {k: v.replace("PORT", str(port)) for k, v in (headers or {}).items()}
        if host:
            sent["Host"] = host.replace("PORT", str(port))
        answer = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{port}{path}",
            method=method,
            headers=sent,
            body=body,
            raise_error=False,
        )
        http.stop()
        await http.close_all_connections()
        return answer

    # A thread of its own: a browser's tests may have left a running loop in this one.
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: asyncio.run(request())).result()
    return answer.code, answer.body.decode(), fake


JSON = {"Content-Type": "application/json"}
RUN = json.dumps({"system": "gmm_em", "texts": {"n": "2"}})


def test_the_page_has_the_form_and_needs_nothing_else():
    code, text, _ = ask(path="/")
    assert code == 200
    assert 'name="weights"' in text and "<option selected>gmm_em</option>" in text
    assert "src=" not in text.split("<script>")[0]


def test_a_run_is_begun_watched_and_cancelled():
    code, text, fake = ask("POST", headers=JSON, body=RUN)
    assert (code, json.loads(text)) == (200, {"number": 1})
    assert fake.jobs == [Selection("gmm_em", {"n": "2"})]
    code, text, _ = ask()
    assert (code, json.loads(text)["status"]) == (200, "idle")
    code, _, fake = ask("DELETE")
    assert (code, fake.cancelled) == (200, 1)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"host": "evil.example:PORT"}, 403),
        ({"host": "127.0.0.1:1"}, 403),
        ({"headers": {**JSON, "Origin": "http://evil.example"}}, 403),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 415),
        ({"body": "not json"}, 400),
        ({"body": "[]"}, 400),
        ({"body": "[" * DEEP + "]" * DEEP}, 400),
        ({"body": '{"texts": ' * DEEP + "1" + "}" * DEEP}, 400),
        ({"body": json.dumps({"system": "../etc/passwd"})}, 400),
        ({"body": json.dumps({"system": "gmm_em", "texts": {"n": 2}})}, 400),
        ({"host": "localhost:PORT"}, 200),
        ({"headers": {**JSON, "Origin": "http://127.0.0.1:PORT"}}, 200),
    ],
)
def test_only_its_own_page_is_answered(asked, code):
    found, _, fake = ask("POST", **{"headers": JSON, "body": RUN, **asked})
    assert found == code
    assert bool(fake.jobs) == (code == 200)


def test_a_file_is_only_the_one_of_the_command_line():
    assert server._selection(b'{"file": "/etc/passwd"}', Selection(file="run.nc")) == Selection(
        file="run.nc"
    )


def test_a_port_that_is_taken_is_reported_or_another_one_found():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port: expected a port that is free, got {port}"):
            server._listen(port)


def test_the_usual_port_gives_way(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(server, "PORT", taken.getsockname()[1])
        found = server._listen(None)
        assert found.getsockname()[1] != server.PORT
        found.close()
