"""`nonmember doctor` ends with code 1 where a check fails."""

from __future__ import annotations

import pytest

from nonmember import doctor
from nonmember.commands import doctor as command


@pytest.mark.parametrize("well", [True, False])
def test_the_exit_code_says_whether_all_is_well(well, monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "run", lambda folder: asked.append(str(folder)) or well)
    if well:
        command.main()
    else:
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert ended.value.code == 1
    assert asked == ["."]
