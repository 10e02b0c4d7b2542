"""`--report`: writes the page of a load or an inspection when it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecload.cli.config_shown import as_text, settings_in_use
from vecload.cli.output import tell
from vecload.cli.written_files import check_not_used, check_replaceable
from vecload.errors import VecloadError
from vecload.reporting.page import BEGINS, write_page
from vecload.reporting.recorder import Recorder

if TYPE_CHECKING:
    from vecload.inspecting.distributions import Distributions
    from vecload.inspecting.report import Report
    from vecload.loading.result import LoadResult


class ReportFile:
    """The file of a report.

    Args:
        file: Its path.
        context: The command's context.
        colour: The metadata field that colours the scatter of an inspection; None chooses one.

    Raises:
        UsageError: It can't be written, or what draws its pictures is missing.
    """

    def __init__(self, file: str, context: Any, colour: str | None = None) -> None:
        from vecload.reporting.pictures import check_installed

        check_not_used("--report", file, context)
        check_replaceable("--report", file, BEGINS.encode(), "a report of vecload")
        check_installed()
        self._file, self._context, self._colour = file, context, colour
        self._recorder = Recorder()

    def record(self) -> None:
        """Record the load that begins."""
        self._context.find_root().obj.listen(self._recorder)

    def write_load(self, result: LoadResult) -> None:
        """Write the page of a load. If that fails, it is said: the load is what it is."""
        from vecload.reporting.load_page import load_page

        options = [
            (one.option, as_text(one.value), "command line" if one.kind == "flag" else one.origin)
            for one in settings_in_use(self._context)
        ]
        try:
            write_page(self._file, load_page(result, self._recorder, options))
        except VecloadError as error:
            tell(str(error))

    def write_inspection(self, report: Report, found: Distributions) -> None:
        """Write the page of an inspection.

        Raises:
            VecloadError: It can't be written.
        """
        from vecload.reporting.inspection_page import inspection_page

        write_page(self._file, inspection_page(report, found, self._colour))


def report_file(context: Any, file: str | None, colour: str | None = None) -> ReportFile | None:
    """The file that `--report` names; None if it names none."""
    return None if file is None else ReportFile(file, context, colour)
