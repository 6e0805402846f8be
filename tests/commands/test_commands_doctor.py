"""`nonmember doctor` ends with code 1 where a check fails."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from nonmember import doctor
from nonmember.commands import doctor as command


@pytest.mark.parametrize("well", [True, False])
def test_the_exit_code_says_whether_all_is_well(
    well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Mock(return_value=well)
    monkeypatch.setattr(doctor, "run", run)
    if well:
        command.main()
    else:
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert ended.value.code == 1
    assert [str(call.args[0]) for call in run.call_args_list] == ["."]
