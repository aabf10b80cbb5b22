from scripts import machine_doc


def test_the_drawing_is_current():
    assert machine_doc.TARGET.read_text(encoding="utf-8") == machine_doc.render()


def test_every_phase_has_a_row():
    from departments.executive.phases import PHASE_NAMES

    told = {phase for phase, _, _ in machine_doc.rows()}

    assert {kind.__name__ for kind in PHASE_NAMES} <= told
