"""Compiled functions are read from the disk, the same to the last bit, unless a source changed."""

import contextlib
import itertools
import json
import pickle
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from numba.core.bytecode import FunctionIdentity
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary
from numba.core.registry import cpu_target

from flows.arithmetic import kept as keeping
from flows.arithmetic import linked

SIGNATURE = "f8(f8)"
# Seconds in which a thread that need not wait would be there.
MEANWHILE = 0.2
# What a compiled field and what is compiled from it returns, and what Numba compiled for it.
SCRIPT = """
import json, sys
import numpy as np
from numba.core import event
import flows

class Count(event.Listener):
    made = 0
    def on_start(self, started): self.made += 1
    def on_end(self, ended): pass

count = Count()
event.register("numba:compile", count)
neurons = flows.ReLUNeuron(2, 2)
start = [[0.3, 0.2], [0.1, 0.4]]
losses = [flows.integrate(neurons, start, 1e3)["loss"][-1]]
losses.append(flows.descend(neurons, start, steps=100)["loss"][-1])
print(json.dumps([count.made, [x.hex() for x in losses]]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    # Numba reads its variables again when one of them has changed.
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def doubled(factor=2.0):
    """A maker, and how often it was called."""
    calls = []

    def make():
        calls.append(factor)
        return numba.njit(lambda x: factor * x)

    return make, calls


def test_another_process_compiles_nothing_and_finds_the_same_bits(tmp_path):
    def run():
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT],
            env={"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (first, losses), (second, again) = run(), run()
    assert first >= 2 and second == 0
    assert again == losses


def test_a_function_is_made_once(folder):
    make, calls = doubled()
    found = [keeping.kept(("doubled",), SIGNATURE, make)(3.0) for _ in range(2)]
    assert found == [6.0, 6.0] and len(calls) == 1


def test_a_changed_source_another_processor_option_or_a_cut_file_makes_it_anew(folder, monkeypatch):
    keeping.kept(("doubled",), SIGNATURE, doubled()[0])
    with monkeypatch.context() as changed:
        changed.setattr(keeping, "sources", lambda: "another text")
        assert keeping.kept(("doubled",), SIGNATURE, doubled(3.0)[0])(1.0) == 3.0
    keeping.kept(("doubled",), SIGNATURE, doubled()[0])
    codegen = type(keeping.cpu_target.target_context.codegen())
    with monkeypatch.context() as changed:
        changed.setattr(codegen, "magic_tuple", lambda self: ("another processor",))
        assert keeping.kept(("doubled",), SIGNATURE, doubled(4.0)[0])(1.0) == 4.0
    with monkeypatch.context() as changed:
        changed.setattr(numba.config, "LOOP_VECTORIZE", not numba.config.LOOP_VECTORIZE)
        assert keeping.kept(("doubled",), SIGNATURE, doubled(6.0)[0])(1.0) == 6.0
    for file in folder.rglob("*.nbc"):
        file.write_bytes(file.read_bytes()[:100])
    assert keeping.kept(("doubled",), SIGNATURE, doubled(5.0)[0])(1.0) == 5.0


def test_an_index_that_names_what_is_gone_is_begun_anew(folder):
    keeping.kept(("doubled",), SIGNATURE, doubled()[0])
    # Numba's version, and then a name that its module has no more, as after an update.
    for file in folder.rglob("*.nbi"):
        file.write_bytes(pickle.dumps(numba.__version__) + b"cflows.arithmetic.kept\nGone\n.")
    assert keeping.kept(("doubled",), SIGNATURE, doubled(5.0)[0])(1.0) == 5.0
    make, calls = doubled(6.0)
    assert keeping.kept(("doubled",), SIGNATURE, make)(1.0) == 5.0 and not calls


def test_the_fingerprint_is_that_of_every_source(tmp_path, monkeypatch):
    (tmp_path / "symbolic").mkdir()
    file = tmp_path / "symbolic" / "one.py"
    monkeypatch.setattr(keeping, "ROOT", tmp_path)
    prints = []
    for text in ("x = 1", "x = 2"):
        file.write_text(text)
        keeping.sources.cache_clear()
        prints.append(keeping.sources())
    keeping.sources.cache_clear()
    assert prints[0] != prints[1]


def test_another_name_or_signature_is_another_function(folder):
    keeping.kept(("factor", 2), SIGNATURE, doubled()[0])
    assert keeping.kept(("factor", 3), SIGNATURE, doubled(3.0)[0])(1.0) == 3.0
    assert keeping.kept(("factor", 2), "i8(i8)", doubled(7)[0])(1) == 7


def test_what_is_made_from_a_nameless_function_is_not_kept(folder):
    make, calls = doubled()
    for _ in range(2):
        keeping.kept(("along", make), SIGNATURE, make)
    assert len(calls) == 2 and not list(folder.rglob("*.nb?"))


def test_a_function_from_the_disk_is_called_by_one_that_is_compiled(folder):
    for _ in range(2):
        inner = keeping.kept(("inner",), SIGNATURE, doubled()[0])

    @numba.njit
    def outer(x):
        return inner(x) + 1.0

    assert outer(3.0) == 7.0
    with pytest.raises(TypeError, match="No matching definition"):
        inner(np.zeros(2))


def test_where_no_folder_can_be_written_functions_are_made(monkeypatch):
    def nowhere(*_):
        raise RuntimeError

    monkeypatch.setattr(keeping._Store, "__init__", nowhere)
    make, calls = doubled()
    assert [keeping.kept(("doubled",), SIGNATURE, make)(1.0) for _ in range(2)] == [2.0, 2.0]
    assert len(calls) == 2


def test_loops_that_call_other_files_are_compiled_anew_when_any_source_changes(monkeypatch):
    from flows.core import enclosed_program, plain_factors
    from flows.solvers import axis_slopes, axis_steps
    from flows.systems.own import hessians

    places = (enclosed_program, axis_slopes, axis_steps, plain_factors, hessians)
    every = {f for place in places for f in vars(place).values() if hasattr(f, "py_func")}
    # What compiled code alone calls is kept with its callers.
    loops = {f for f in every if not f.targetoptions.get("no_cpython_wrapper")}
    codegen = keeping.cpu_target.target_context.codegen()
    before = {f: f._cache._index_key((), codegen) for f in loops}
    monkeypatch.setattr(keeping, "sources", lambda: "of another day")
    assert len(loops) > 10 and all(f._cache._index_key((), codegen) != before[f] for f in loops)
    # Control: Numba's own key does not change.
    plain = keeping.caching.FunctionCache(axis_steps.advance.py_func)._index_key((), codegen)
    monkeypatch.undo()
    again = keeping.caching.FunctionCache(axis_steps.advance.py_func)._index_key((), codegen)
    assert plain == again


def test_symbols_differ_though_two_processes_have_counted_alike(folder, monkeypatch):
    names = []
    for factor in (2, 3):
        monkeypatch.setattr(FunctionIdentity, "_unique_ids", itertools.count(1))
        made = keeping.kept(("factor", factor), SIGNATURE, doubled(float(factor))[0])
        (found,) = made.overloads.values()
        names.append(found.fndesc.mangled_name)
    assert names[0] != names[1]
    # Without a name of its own it would be the same symbol.
    monkeypatch.setattr(keeping, "_numbered_by", lambda name: contextlib.nullcontext())
    for factor in (4, 5):
        monkeypatch.setattr(FunctionIdentity, "_unique_ids", itertools.count(1))
        made = keeping.kept(("factor", factor), SIGNATURE, doubled(float(factor))[0])
        (found,) = made.overloads.values()
        names.append(found.fndesc.mangled_name)
    assert names[2] == names[3]


def shared(function):
    """Functions in its machine code of which a process takes the copy that it has met first."""
    (code,) = function.overloads.values()
    functions = code.library._final_module.functions
    copies = [f.name for f in functions if f.linkage.name == "linkonce_odr"]
    return [name for name in copies if "norm_of" in name]


@numba.njit(no_cpython_wrapper=True)
def norm_of(x, power):
    total = 0.0
    for _ in range(7):  # so large that it is called
        for i in range(len(x)):
            total += np.abs(x[i]) ** power + np.sin(total)
        x[: len(x) // 2] = np.sort(x[len(x) // 2 :])[: len(x) // 2]
    return total ** (1.0 / power)


def calls(x):
    return norm_of(x, 3.0) + norm_of(x, 5.0)


def test_a_function_that_is_kept_calls_its_own_copies_of_others(folder):
    signature = "f8(f8[::1])"
    # A copy that others share may be one that rounds differently: which, depends on the process.
    assert shared(numba.njit(signature)(calls))
    assert not shared(keeping.kept(("calls",), signature, lambda: numba.njit(calls)))
    assert not shared(keeping.loop(calls, signature))
    assert cpu_target.target_context.codegen()._library_class is JITCodeLibrary


def test_what_stands_inside_others_becomes_machine_code_once_and_computes_the_same(monkeypatch):
    seen, optimize = [], CPUCodeLibrary._optimize_final_module
    placed, place = [], JITCodeLibrary._finalize_specific

    def count(steps, step):
        def counted(library):
            steps.append(library.name.rpartition(".")[2])
            step(library)

        return counted

    monkeypatch.setattr(CPUCodeLibrary, "_optimize_final_module", count(seen, optimize))
    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", count(placed, place))

    def low(x):
        return 3.0 * x + 1.0

    inside = keeping.inner(low)

    def middle(x):
        return inside(x) ** 2

    between = keeping.inner(middle)

    def high(x):
        return between(x) - 1.0

    assert keeping.loop(high)(2.0) == 48.0
    assert seen == placed == ["high"]
    # The control: with Numba's own code each is optimized, and placed, where it is compiled.
    monkeypatch.setattr(keeping, "linked", contextlib.nullcontext)
    inside, between = keeping.inner(low), keeping.inner(middle)
    seen.clear()
    placed.clear()
    assert keeping.loop(high)(2.0) == 48.0
    assert seen == placed == ["low", "middle", "high"]


def test_parts_are_called_by_code_that_knows_none():
    """Numba's own functions, too, are parts where a kept function has called them first."""

    def doubled(n):
        return 2.0 * np.full(n, 7.25)[::-1].copy()

    inside = keeping.inner(doubled)
    between = keeping.inner(lambda n: inside(n) + 1.0)
    assert keeping.loop(lambda n: between(n).sum())(3) == 46.5
    assert numba.njit(lambda n: between(n).sum())(2) == 31.0
    assert numba.njit(lambda n: np.full(n, 7.25)[::-1].copy().sum())(2) == 14.5
    (code,) = inside.overloads.values()
    assert code.library.is_part
    assert code.library.get_pointer_to_function(code.fndesc.llvm_func_name) == 0


def test_what_counts_no_holders_of_arrays_can_make_none():
    """It would give back what nobody holds; what it calls may, if that counts."""

    def total(n):
        return np.ones(n).sum()

    counted, lean = keeping.inner(total), keeping.lean(total)
    through = keeping.lean(lambda n: counted(n))
    assert numba.njit(lambda n: through(n))(3) == 3.0
    with pytest.raises(numba.core.errors.TypingError):
        numba.njit(lambda n: lean(n))(3)


def test_a_thread_waits_until_another_has_compiled():
    """Else the last one to end would leave parts to whoever compiles next."""
    inside, codegen = threading.Event(), cpu_target.target_context.codegen()

    def compiles():
        with linked.linked():
            inside.set()

    thread = threading.Thread(target=compiles)
    with linked.linked():
        thread.start()
        assert not inside.wait(MEANWHILE)
        assert codegen._library_class is not JITCodeLibrary
    thread.join()
    assert inside.is_set()
    assert codegen._library_class is JITCodeLibrary


# A process compiles what makes arrays once, so each of the two ways has a process.
PLACES = """
import contextlib, sys
import numba, numpy as np
from flows.arithmetic.linked import linked

def places(most):
    held = [np.zeros(count) for count in range(1, most)]
    return [array.ctypes.data for array in held]

with linked() if sys.argv[1] == "linked" else contextlib.nullcontext():
    print(sum(place % 64 != 0 for place in numba.njit(places)(100)))
"""


def test_arrays_of_compiled_code_begin_with_lines_of_the_cache():
    counts = []
    for way in ("linked", "plain"):
        command = [sys.executable, "-W", "ignore", "-c", PLACES, way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counts.append(int(done.stdout))
    assert counts[0] == 0 < counts[1]
