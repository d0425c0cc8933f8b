import sys

from kvae.system import imports


def test_a_step_is_taken_around_one_import(tmp_path, monkeypatch):
    (tmp_path / "noted.py").write_text("value = 3")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    before, seen = [*sys.meta_path], []

    def step(execute, module):
        seen.append(hasattr(module, "value"))
        execute()
        seen.append(module.value)

    imports.around("noted", step)
    import noted

    assert seen == [False, 3]
    # And is gone then.
    assert sys.meta_path == before
    del sys.modules["noted"]
    import noted  # noqa: F811

    assert (noted.value, len(seen)) == (3, 2)
