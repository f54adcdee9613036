"""Networks that are scores, velocities and denoisers; what they learn is in the modules of the
mathematics, which need none of them."""

from .layers import Attention, NoiseEmbedding, ResBlock, fits
from .scores import ScoreMLP, ScoreNetwork, VelocityMLP
from .unet import Denoiser, ScoreUNet, UNet

__all__ = ["Attention", "Denoiser", "NoiseEmbedding", "ResBlock", "ScoreMLP", "ScoreNetwork"]
__all__ += ["ScoreUNet", "UNet", "VelocityMLP", "fits"]
