"""Self-attention encoders: every place of a grid or of a sound looks at all others, and is told where it is."""

from collections.abc import Iterator

from torch import Tensor, nn

from multimodal_attn.layers.blocks import FeedForward, SelfAttention
from multimodal_attn.layers.dropout import Dropout
from multimodal_attn.layers.linear import Linear
from multimodal_attn.layers.positions import GridPositions
from multimodal_attn.memory import Memory


class SelfAttentionLayer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, dim: int, heads: int | None, dropout: float, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.places, self.network = SelfAttention(dim, heads), FeedForward(dim, activation)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, S, D), mask (B, S)."""
        x = x + self.dropout(self.places(x, mask))
        return x + self.dropout(self.network(x))


class SelfAttentionEncoder(nn.Module):
    """Memory -> Memory of the same places and width (B, S, D), normalised.

    positions: a module that adds codes to x (B, S, D). heads: None for as many as suit the width. activation: of the
    feed-forward networks.
    """

    def __init__(
        self,
        dim: int,
        layers: int,
        positions: nn.Module,
        heads: int | None = None,
        dropout: float = 0.1,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.positions = positions
        self.layers = nn.ModuleList(SelfAttentionLayer(dim, heads, dropout, activation) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, memory: Memory) -> Memory:
        x = self.positions(memory.clean())
        for layer in self.layers:
            x = layer(x, memory.mask)
        return Memory(self.norm(x), memory.mask)

    @property
    def n_looks(self) -> tuple[int, int]:
        """Layers, and heads of each."""
        return len(self.layers), self.layers[0].places.heads if len(self.layers) else 0

    def looks(self, memory: Memory) -> Iterator[Tensor]:
        """The self-attention of one layer after the other, (B, N, S, S), the place that looks first."""
        x = self.positions(memory.clean())
        for layer in self.layers:
            yield layer.places.weights(x, memory.mask)
            x = layer(x, memory.mask)


class GridSelfAttention(SelfAttentionEncoder):
    """Layers on top of a CNN, whose grid (B, rows * cols, input_dim) is brought to their width and given 2-D codes."""

    def __init__(self, input_dim: int, dim: int, layers: int, grid: tuple[int, int], dropout: float) -> None:
        super().__init__(dim, layers, GridPositions("sinusoidal", dim, *grid), dropout=dropout)
        # normalised, since features of a CNN are of any size, and position codes about 1
        self.enter = nn.Sequential(Linear(input_dim, dim), nn.LayerNorm(dim))

    def forward(self, memory: Memory) -> Memory:
        return super().forward(Memory(self.enter(memory.clean()), memory.mask))

    def looks(self, memory: Memory) -> Iterator[Tensor]:
        return super().looks(Memory(self.enter(memory.clean()), memory.mask))
