"""The table of the window's commands, from which menus, shortcuts, help page and tests are made.

The rows of the tools come from `state.tools`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from nca_seg_app.session import Has, Session
from nca_seg_app.state.settings import Settings
from nca_seg_app.state.tools import TOOLS, Tool

#: The menus in the order of the menu bar.
MENUS = ("File", "Edit", "View", "Run", "Tools", "Study", "Help")
BRUSH_FACTOR = 1.25
#: Commands that are repeated while their key is held.
REPEATING = {
    "edit.undo", "edit.redo", "view.zoom_in", "view.zoom_out", "view.next_doubt", "run.step",
    "run.wider", "run.tighter", "tools.smaller", "tools.larger", "study.next", "study.previous",
}  # fmt: skip


@dataclass(frozen=True)
class Action:
    """A command of the window. It is enabled exactly when `needs in session.capabilities`.

    Parameters
    ----------
    id : its name in the program, for example "edit.undo".
    menu : one of `MENUS`.
    text : its text in the menu, with an & before the mnemonic.
    method : does it.
    shortcuts : its keys in Qt's portable form; menus show the first.
    needs : the facts that must hold for it to be enabled.
    tip : a sentence for tool tip and help page.
    icon : name of its icon in resources/icons without suffix, or "".
    group : commands of a menu with different groups are parted by a separator.
    checked : if given, the command has a check mark, and this tells whether it is set.
    """

    id: str
    menu: str
    text: str
    method: Callable[[Session], object]
    shortcuts: tuple[str, ...] = ()
    needs: Has = Has.NOTHING
    tip: str = ""
    icon: str = ""
    group: int = 0
    checked: Callable[[Session], bool] | None = None

    @property
    def repeats(self) -> bool:
        """Whether it is repeated while its key is held; commands that decide or save are not."""
        return self.id in REPEATING


@dataclass(frozen=True)
class Gesture:
    """What a movement of the mouse or a held key does, for the help page."""

    keys: str
    what: str


GESTURES = (
    *(Gesture(*gesture) for tool in TOOLS for gesture in tool.gestures),
    Gesture("Ctrl+wheel", "size of brush and eraser"),
    Gesture("Wheel", "zoom at the pointer"),
    Gesture("Middle button", "pan"),
    Gesture("Hold Space", "the bare image"),
)


def _tool_action(tool: Tool) -> Action:
    """The action that chooses `tool`; its check mark is set while it is chosen."""
    return Action(
        f"tools.{tool.name}",
        "Tools",
        tool.text,
        lambda session: session.view_state.choose_tool(tool.name),
        (tool.shortcut,),
        Has.IMAGE if tool.drawing is not None else Has.NOTHING,
        tool.tip,
        tool.name,
        checked=lambda session: session.view_state.tool is tool,
    )


def _is_reviewed(session: Session) -> bool:
    row = session.workspace.row
    return row is not None and row.status == "reviewed"


def _toggle(name: str) -> Callable[[Session], object]:
    return lambda session: session.context.change_settings(
        **{name: not getattr(session.context.settings, name)}
    )


def _is_on(name: str) -> Callable[[Session], bool]:
    return lambda session: bool(getattr(session.context.settings, name))


def _resize_brush(factor: float) -> Callable[[Session], object]:
    (limits,) = (each.metadata for each in fields(Settings) if each.name == "brush_radius_px")

    def resize(session: Session) -> None:
        wanted_px = session.context.settings.brush_radius_px * factor
        session.context.change_settings(
            brush_radius_px=min(limits["high"], max(limits["low"], wanted_px))
        )

    return resize


def _discard(session: Session) -> None:
    # Escape gives up the first of these that there is: the stroke, the outlines to choose from, the
    # shown map, what the model was shown last, the proposal.
    if session.workspace.document is not None and session.workspace.document.drawing:
        session.workspace.document.rollback()
    elif session.style_outlines.shown:
        session.style_outlines.hide()
    elif session.view_state.shown is not None:
        session.view_state.show(None)
    elif not session.steering.shown.is_empty:
        session.steering.take_back()
    else:
        session.proposal.discard()
        session.context.message.emit("The result was dropped. Segment (Ctrl+R) draws it again.")


_ON_MASK = Has.IMAGE | Has.MASK

# fmt: off
ACTIONS: tuple[Action, ...] = (
    Action("file.open", "File", "&Open Image…",
           lambda session: session.opening.ask_image(), ("Ctrl+O",),
           tip="Open a picture to outline.", icon="open"),
    Action("file.open_folder", "File", "Open &Folder…",
           lambda session: session.opening.ask_folder(), ("Ctrl+Shift+O",),
           tip="Open all pictures of a folder.", icon="folder"),
    Action("file.open_last", "File", "Open &Last",
           lambda session: session.opening.open_recent(), needs=Has.RECENT,
           tip="Open what was opened last."),
    Action("file.open_sample", "File", "Open Sa&mples",
           lambda session: session.opening.open_sample(),
           tip="Open the sample pictures that come with the program.", icon="sample"),
    Action("file.save", "File", "&Save", Session.save, ("Ctrl+S",), Has.IMAGE | Has.UNSAVED,
           "Save the mask in the folder of its image.", "save", 1),
    Action("file.save_as", "File", "&Export Mask…",
           lambda session: session.export.export_mask(), ("Ctrl+Shift+S",),
           Has.IMAGE | Has.MASK, "Write the mask to a PNG file of your choice.", group=1),
    Action("file.export_dataset", "File", "Export &Data Set…",
           lambda session: session.export.export_dataset(), ("Ctrl+E",),
           Has.STUDY | Has.SAVED_MASKS, "Copy images and saved masks to a data set folder.",
           "export", 1),
    Action("file.stop_export", "File", "S&top Export",
           lambda session: session.export.stop(), needs=Has.EXPORTING,
           tip="End the export; the samples written so far are a data set.", group=1),
    Action("file.preferences", "File", "&Preferences…",
           lambda session: session.view_state.ask_window("preferences"), ("Ctrl+,",),
           tip="Theme, device and drafts.", group=2),
    Action("file.quit", "File", "&Quit", lambda session: session.view_state.ask_window("quit"),
           ("Ctrl+Q",), tip="Leave; unsaved changes are asked about.", group=3),

    Action("edit.undo", "Edit", "&Undo",
           Session.undo, ("Ctrl+Z",), Has.CAN_UNDO,
           "Take the last change of the mask back.", "undo"),
    Action("edit.redo", "Edit", "&Redo",
           lambda session: session.mask_edits.redo(), ("Ctrl+Shift+Z", "Ctrl+Y"), Has.CAN_REDO,
           "Bring the last undone change back.", "redo"),
    Action("edit.fill_holes", "Edit", "&Fill Holes",
           lambda session: session.mask_edits.fill_holes(), ("Ctrl+H",), _ON_MASK,
           "Fill what the outline encloses.", "fill-holes", 1),
    Action("edit.keep_largest", "Edit", "&Keep Largest Area",
           lambda session: session.mask_edits.keep_largest(), ("Ctrl+L",),
           _ON_MASK, "Remove all but the largest area.", "largest", 1),
    Action("edit.smooth", "Edit", "&Smooth Outline",
           lambda session: session.mask_edits.smooth(), ("Ctrl+M",), _ON_MASK,
           "Round the outline a little.", "smooth", 1),
    Action("edit.clear", "Edit", "&Clear Mask",
           lambda session: session.mask_edits.clear(), ("Ctrl+Backspace",), _ON_MASK,
           "Empty the mask.", "clear", 2),

    Action("view.fit", "View", "&Fit to Window",
           lambda session: session.view_state.fit_requested.emit(), ("F",), Has.IMAGE,
           "Show the whole image.", "fit"),
    Action("view.actual_size", "View", "&Actual Size",
           lambda session: session.view_state.actual_size_requested.emit(), ("1",), Has.IMAGE,
           "One pixel of the image is one of the screen.", "actual-size"),
    Action("view.zoom_in", "View", "Zoom &In",
           lambda session: session.view_state.zoom_requested.emit(1.25), ("Ctrl++", "Ctrl+="),
           Has.IMAGE, "Magnify."),
    Action("view.zoom_out", "View", "Zoom &Out",
           lambda session: session.view_state.zoom_requested.emit(0.8), ("Ctrl+-",), Has.IMAGE,
           "Show more of the image."),
    Action("view.outline", "View", "Ou&tline", _toggle("show_outline"), ("X",),
           tip="Show or hide the outline.", icon="outline", group=1,
           checked=_is_on("show_outline")),
    Action("view.fill", "View", "Fi&ll", _toggle("show_fill"), ("Z",),
           tip="Show or hide the tint inside the outline.", icon="fill", group=1,
           checked=_is_on("show_fill")),
    Action("view.variance", "View", "&Variance", _toggle("show_variance"), ("V",),
           tip="Show where the members disagree.", icon="variance", group=1,
           checked=_is_on("show_variance")),
    Action("view.panels", "View", "&Panels or Only the Image",
           lambda session: session.view_state.ask_window("panels"), ("W",),
           tip="Hide all panels, or show them again.", group=3),
    Action("view.next_doubt", "View", "Next &Doubtful Stretch",
           lambda session: session.view_state.next_doubt_requested.emit(), ("N",),
           Has.IMAGE | Has.RESULT, "Go to the next stretch of border the members disagree on.",
           "next-doubt", 2),

    Action("run.segment", "Run", "&Segment", lambda session: session.segment(),
           ("Ctrl+R",), Has.IMAGE | Has.MODEL | Has.IDLE, "Let the model outline the lesion.",
           "segment"),
    Action("run.pause", "Run", "&Pause or Go On", lambda session: session.segmentation.pause(),
           ("K",), Has.RUNNING, "Hold the run, or let it go on.", "pause"),
    Action("run.step", "Run", "Single S&tep", lambda session: session.segmentation.step(), (".",),
           Has.RUNNING, "Pause, then take one diffusion step at a time.", "step"),
    Action("run.cancel", "Run", "St&op", lambda session: session.segmentation.cancel(),
           ("Ctrl+.",), Has.RUNNING, "Stop the run; what it has so far stays.", "stop"),
    Action("run.accept", "Run", "&Accept Result", Session.accept,
           ("Return", "Enter"), Has.IMAGE | Has.RESULT,
           "Make the result the mask; undo takes it back.", "accept", 1),
    Action("run.replace", "Run", "&Replace Mask by Result",
           lambda session: session.proposal.replace(), ("Ctrl+Shift+Return",),
           Has.IMAGE | Has.RESULT, "Accept, also in place of what was drawn; undo gives it back.",
           group=1),
    Action("run.discard", "Run", "&Discard Result", _discard, ("Esc",), Has.TO_DISCARD,
           "Take back what the model was shown last, or drop the result; the mask stays.",
           "discard", 1),
    Action("run.wider", "Run", "Next &Wider Outline",
           lambda session: session.style_outlines.cycle(1), ("T",),
           Has.IMAGE | Has.MODEL | Has.STYLES,
           "Show the outlines of all styles, tightest to widest; again for the next one. "
           "Return or a click takes one.", group=2),
    Action("run.tighter", "Run", "Next Ti&ghter Outline",
           lambda session: session.style_outlines.cycle(-1), ("Shift+T",),
           Has.IMAGE | Has.MODEL | Has.STYLES, "The same in the other direction.", group=2),
    Action("run.refine", "Run", "Re&fine Mask", lambda session: session.steering.refine(),
           ("Ctrl+Shift+R",), Has.IMAGE | Has.MODEL | Has.MASK,
           "Let the model go on from the mask as it is, and propose what comes of it.",
           group=1),
    Action("run.accept_and_next", "Run", "Accept and &Next",
           Session.accept_and_next,
           ("Ctrl+Return", "Ctrl+Enter"), Has.IMAGE,
           "Accept, save as reviewed, and open the next image.", "accept-next", 1),

    *map(_tool_action, TOOLS),
    Action("tools.smaller", "Tools", "&Smaller Brush", _resize_brush(1 / BRUSH_FACTOR), ("[",),
           tip="Make brush and eraser smaller.", group=1),
    Action("tools.larger", "Tools", "&Larger Brush", _resize_brush(BRUSH_FACTOR), ("]",),
           tip="Make brush and eraser larger.", group=1),

    Action("study.next", "Study", "&Next Image",
           lambda session: session.opening.open_next(), ("D", "PgDown"), Has.NEXT,
           "Open the next image of the list.", "next"),
    Action("study.previous", "Study", "&Previous Image",
           lambda session: session.opening.open_previous(), ("A", "PgUp"),
           Has.PREVIOUS, "Open the image before in the list.", "previous"),
    Action("study.reload", "Study", "Re&load Image", lambda session: session.opening.reload(),
           ("F5",), Has.IMAGE, "Read the image and its mask anew from their files."),
    Action("study.survey", "Study", "Find Expected Errors of &All Images",
           lambda session: session.survey.toggle(), needs=Has.STUDY | Has.MODEL,
           tip="Segment all new images, to begin with the highest expected error; again to stop.",
           checked=lambda session: session.survey.running),
    Action("study.mark_reviewed", "Study", "&Reviewed",
           lambda session: session.saving.toggle_reviewed(), ("Ctrl+D",), Has.IMAGE | Has.STUDY,
           "Save, and mark the image as done, or take the mark away.",
           checked=_is_reviewed),
    Action("study.fit_style", "Study", "Fit St&yle to My Masks",
           lambda session: session.style_fitting.fit(),
           needs=Has.STYLES | Has.STUDY | Has.SAVED_MASKS | Has.IDLE,
           tip="Find the style and width of the masks that you drew or changed: it takes a moment, "
           "and the model stays as it is.", group=1),
    Action("study.stop_fit", "Study", "Stop Fittin&g",
           lambda session: session.style_fitting.stop(), needs=Has.FITTING,
           tip="End the fit; style and width stay as they are.", group=1),
    Action("study.finetune", "Study", "&Fine-tune Model",
           lambda session: session.training.finetune(), ("Ctrl+T",),
           Has.MODEL | Has.STUDY | Has.SAVED_MASKS | Has.IDLE,
           "Let the model learn from the saved masks.", "training", 1),
    Action("study.stop_learning", "Study", "Stop and &Keep Best",
           lambda session: session.training.stop_and_keep(), needs=Has.LEARNING,
           tip="End the training; the best model so far is offered.", group=1),
    Action("study.cancel_learning", "Study", "&Cancel Training",
           lambda session: session.training.cancel(), needs=Has.LEARNING,
           tip="End the training and drop what it made.", group=1),
    Action("study.add_model", "Study", "Add &Model…",
           lambda session: session.model_library.ask_for_one(),
           tip="Copy a model from a file into the list of models.", group=2),
    Action("study.remove_model", "Study", "R&emove Model…",
           lambda session: session.model_library.remove(), needs=Has.OWN_MODEL | Has.IDLE,
           tip="Take the chosen model out of the list; its file is kept.", group=2),

    Action("help.shortcuts", "Help", "&Shortcuts",
           lambda session: session.view_state.ask_window("help"), ("F1",),
           tip="All commands and their keys.", icon="help"),
    Action("help.about", "Help", "&About", lambda session: session.view_state.ask_window("about"),
           tip="Version and paper. Research use only."),
)
# fmt: on


def find_action(action_id: str) -> Action:
    """The action with the id `action_id`. Raises KeyError if there is none."""
    for action in ACTIONS:
        if action.id == action_id:
            return action
    raise KeyError(action_id)


def cheat_sheet(
    more: Sequence[Gesture] = (),
) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """The content of the help page: each menu with its rows (command, keys, what it does).

    Mouse and held keys come last, and `more` after them.
    """
    pages = [
        (
            menu,
            tuple(
                (plain_text(action), ", ".join(action.shortcuts), action.tip)
                for action in ACTIONS
                if action.menu == menu
            ),
        )
        for menu in MENUS
    ]
    gestures = tuple((gesture.what, gesture.keys, "") for gesture in (*GESTURES, *more))
    return (*pages, ("Mouse", gestures))


def plain_text(action: Action) -> str:
    """The action's text without the & of the mnemonic and without trailing dots."""
    return action.text.replace("&", "").rstrip("…")
