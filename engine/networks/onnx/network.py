"""An ONNX network as a `Network` that predicts the clean mask from the image alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import NotRun
from engine.networks.network import Chance, Network, Outputs, Steering, Tensors
from engine.networks.onnx.config import config_of
from engine.networks.onnx.runner import Runner, opened
from engine.types import ModelSpec


class OnnxNetwork(Network):
    """Predicts the logit of lesion from the image, whatever x_t and t are; on the CPU.

    Its only parameter is the ONNX file itself, as bytes, so that it is kept in a model file like
    any weights. It runs once they are loaded and never changes after that.

    Parameters
    ----------
    spec : with an `OnnxConfig`.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        content = torch.zeros(config_of(spec).file_bytes, dtype=torch.uint8)
        self.content = nn.Parameter(content, requires_grad=False)
        self._runner: Runner | None = None

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load the file's bytes, and make them ready to run.

        Raises MissingExtra where onnxruntime is not installed, and ValueError for a network that it
        does not run or that is not as the config says.
        """
        result = super().load_state_dict(state_dict, *args, **kwargs)
        content = self.content.cpu().numpy().tobytes()
        self._runner = Runner(opened(content, self.spec.name), config_of(self.spec))
        return result

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """The logit of lesion for each image. Raises NotRun, MemoryError."""
        if self._runner is None:
            raise NotRun(self.spec.name, "its file was not loaded")
        (image_n3hw,) = image_given
        pixels_n3hw = ((image_n3hw + 1) / 2).cpu().numpy()
        try:
            logits = [torch.from_numpy(self._runner(image).copy()) for image in pixels_n3hw]
        except ValueError as error:
            raise NotRun(self.spec.name, str(error)) from error
        return Outputs(torch.stack(logits)[:, None].to(image_n3hw.device))
