"""Fine-tunes an encoder together with one layer of outputs for intents and reasons.

The outputs begin as logistic regressions over the encoder as it came. The embeddings are never trained: they ship as
the blocks of four bits that they came as. Needs PyTorch and transformers (`pip install kommunpost[train]`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from worker.understanding.corpus import Example
from worker.understanding.encoder import Heads, Pieces
from worker.understanding.training import augment, batches, heads
from worker.understanding.training.batches import Batch, Floats

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_AT_ONCE = 2048
"""Tokens that are read together where nothing is learnt."""

_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""What configurations call it: BERT and XLM-R, DistilBERT and ModernBERT."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The usual ones were compared on mails that were neither learnt from nor held out (docs/model.md)."""

    epochs: int = 3
    seeds: int = 1
    """Runs that begin alike and see the mails in another order; the mean of their weights is kept."""
    frozen_layers: int = 0
    """From below. Freezing half of them costs two points and saves a third of the time."""
    batch: int = 2048
    """Tokens, with what pads them."""
    rate: float = 8e-5
    head_rate: float = 3e-4
    """Outputs that begin as a regression are thrown off by 2e-3: 6 points down after 20 steps."""
    decay: float = 0.01
    warm_up: float = 0.06
    """Share of the steps in which the rates rise; then they fall to nothing."""
    dropout: float = 0.1
    """Of what a layer gives on; nothing is dropped inside the attention."""
    smoothing: float = 0.05
    secondary_weight: float = 0.2
    most_weight: float = 8.0
    """A rare reason weighs at most so much more than its absence."""
    bf16: bool = True
    """For processors that can reckon in it (AVX-512 bf16, AMX); elsewhere it is slower than fp32."""
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Base:
    """An encoder as transformers has it, with its tokenizer."""

    model: Any
    tokenizer: Tokenizer
    prefix: str

    @property
    def pieces(self) -> Pieces:
        return Pieces(self.tokenizer, self.prefix)

    @property
    def padding(self) -> int:
        return int(self.model.config.pad_token_id or 0)

    @classmethod
    def load(cls, name: str | Path, prefix: str) -> Base:
        """`name`: a folder, or a name on the Hugging Face hub. Raises OSError when there is no such encoder."""
        from tokenizers import Tokenizer
        from transformers import AutoConfig, AutoModel

        config: Any = AutoConfig.from_pretrained(name)
        for option in _ATTENTION_DROPOUT:
            if hasattr(config, option):
                setattr(config, option, 0.0)
        model: Any = AutoModel.from_pretrained(name, config=config, dtype=torch.float32)
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # the mean over the pieces is used instead
        own = Path(name) / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(own)) if own.is_file() else Tokenizer.from_pretrained(str(name))
        return cls(model.eval(), tokenizer, prefix)

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)

    def vectors(self, texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        with torch.inference_mode():
            for one in batches.batches(self.pieces.firsts(texts), _AT_ONCE, self.padding):
                ids, mask = torch.from_numpy(one.ids), torch.from_numpy(one.mask)
                found[one.rows] = pooled(self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask).numpy()
        return found


def pooled(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over the pieces that are no padding, of length one."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
    return functional.normalize(mean, dim=1)


class Dropout(nn.Module):
    """As in PyTorch, with one random byte a value: PyTorch's own draws take a third of the time of training on a CPU.
    The share is rounded to the next 256th."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._below = round(p * 256)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training or not self._below:
            return values
        eights = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = eights.view(torch.uint8)[: values.numel()].view(values.shape) >= self._below
        return values * kept.to(values.dtype) * (256 / (256 - self._below))


class Network(nn.Module):
    """The encoder and one linear layer over its centred vectors: intents, reasons, any reason."""

    means: torch.Tensor

    def __init__(self, encoder: Any, start: Heads) -> None:
        super().__init__()
        self.encoder = encoder
        self.scale = start.scale
        self.register_buffer("means", torch.from_numpy(start.means))
        self.head = nn.Linear(start.weights.shape[1], start.weights.shape[0])
        self.head.weight.data.copy_(torch.from_numpy(start.weights))
        self.head.bias.data.copy_(torch.from_numpy(start.bias))
        self.frozen: list[nn.Module] = []

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, languages: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        centred = (pooled(hidden.float(), mask) - self.means[languages]) * self.scale
        scores: torch.Tensor = self.head(centred)
        return scores

    def freeze(self, layers: int, dropout: float) -> None:
        self.frozen = [self.encoder.embeddings, *_layers(self.encoder)[:layers]]
        for part in self.frozen:
            part.requires_grad_(requires_grad=False)
        for part in list(self.encoder.modules()):
            for name, inner in part.named_children():
                if isinstance(inner, nn.Dropout | Dropout) and inner.p:
                    setattr(part, name, Dropout(dropout))

    def train(self, mode: bool = True) -> Network:
        """Frozen parts never drop anything: what they give is what the rest must live with."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self


def _layers(encoder: Any) -> Sequence[nn.Module]:
    """The layers from below, as BERT and XLM-R, DistilBERT and ModernBERT call them."""
    for path in ("encoder.layer", "transformer.layer", "layers"):
        part: Any = encoder
        for name in path.split("."):
            part = getattr(part, name, None)
        if part is not None:
            return list(part)
    return []


@dataclass(frozen=True, slots=True)
class Targets:
    intents: torch.Tensor
    reasons: torch.Tensor
    languages: torch.Tensor
    weights: torch.Tensor
    """How much more a mail with the reason weighs than one without."""

    @classmethod
    def of(cls, examples: Sequence[Example], intents: Sequence[str], settings: Settings) -> Targets:
        reasons = torch.from_numpy(batches.reason_flags(examples))
        found = reasons.sum(dim=0)
        ratio = (len(reasons) - found) / found.clamp(min=1)
        return cls(
            torch.from_numpy(batches.intent_shares(examples, intents, settings.secondary_weight)),
            reasons,
            torch.from_numpy(batches.languages(examples)),
            ratio.sqrt().clamp(1, settings.most_weight),
        )

    def loss(self, scores: torch.Tensor, rows: torch.Tensor, smoothing: float) -> torch.Tensor:
        count = self.intents.shape[1]
        of_intents = functional.cross_entropy(scores[:, :count], self.intents[rows], label_smoothing=smoothing)
        of_reasons = functional.binary_cross_entropy_with_logits(
            scores[:, count:], self.reasons[rows], pos_weight=self.weights
        )
        return of_intents + of_reasons


@dataclass
class Run:
    """One pass of training: a fresh network, what it learns from, and how."""

    base: Base
    start: Heads
    learn: Sequence[Example]
    intents: Sequence[str]
    settings: Settings
    seed: int
    seen: int = 0
    """Mails, each as often as it was learnt from."""

    def go(self, say: Callable[[str], None]) -> Network:
        """Trains; says a line an epoch."""
        torch.manual_seed(self.seed)
        self.network = Network(self.base.model, self.start)
        self.network.freeze(self.settings.frozen_layers, self.settings.dropout)
        targets = Targets.of(self.learn, self.intents, self.settings)
        optimiser, schedule = self._optimiser()
        for epoch in range(1, self.settings.epochs + 1):
            started = time.perf_counter()
            with sdpa_kernel(SDPBackend.MATH):  # on a CPU the way back through the quicker kernel is ten times slower
                losses = [self._step(batch, targets, optimiser, schedule) for batch in self._batches(epoch)]
            seconds = time.perf_counter() - started
            say(f"Seed {self.seed}, epoch {epoch}: loss {np.mean(losses):.4f}, {seconds:.0f} s.")
        return self.network.eval()

    def _batches(self, epoch: int) -> Iterator[Batch]:
        self.network.train()
        texts = augment.texts(self.learn, self.seed, epoch, augment.Chances())
        chance = np.random.default_rng([self.seed, epoch])
        return batches.batches(self.base.pieces.firsts(texts), self.settings.batch, self.base.padding, chance)

    def _step(self, batch: Batch, targets: Targets, optimiser: torch.optim.Optimizer, schedule: Any) -> float:
        rows = torch.from_numpy(batch.rows)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bf16):
            scores = self.network(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask), targets.languages[rows])
        loss = targets.loss(scores.float(), rows, self.settings.smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        optimiser.step()
        self.seen += len(batch.rows)
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    def _optimiser(self) -> tuple[torch.optim.Optimizer, Any]:
        trained = [(name, p) for name, p in self.network.encoder.named_parameters() if p.requires_grad]
        plain = [p for name, p in trained if name.endswith("bias") or "LayerNorm" in name]
        decayed = [p for name, p in trained if not (name.endswith("bias") or "LayerNorm" in name)]
        rates = self.settings
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "lr": rates.rate, "weight_decay": rates.decay},
                {"params": plain, "lr": rates.rate, "weight_decay": 0.0},
                {"params": list(self.network.head.parameters()), "lr": rates.head_rate, "weight_decay": 0.0},
            ],
            fused=True,
        )
        whole = len(self.learn) * rates.epochs

        def share(_: int) -> float:
            """Of the rates, by how many of all mails have been seen: batches hold more mails or fewer."""
            seen = self.seen / whole
            return max(0.0, min((seen + 1 / whole) / rates.warm_up, (1 - seen) / (1 - rates.warm_up)))

        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)


def outputs_of(base: Base, learn: Sequence[Example], intents: Sequence[str]) -> Heads:
    """Linear layers over the vectors of the encoder as it is."""
    some = batches.drawn(learn)
    return heads.fit(base.vectors(batches.texts(some)), some, intents)


def tune(
    base: Base,
    start: Heads,
    learn: Sequence[Example],
    intents: Sequence[str],
    settings: Settings,
    say: Callable[[str], None],
) -> Heads:
    """Trains the encoder in `base` where it is, together with the outputs in `start`, and gives the new outputs."""
    torch.set_num_threads(settings.threads)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    states: list[dict[str, torch.Tensor]] = []
    for number in range(settings.seeds):
        base.model.load_state_dict(before)
        network = Run(base, start, learn, intents, settings, settings.seed + number).go(say)
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    network.load_state_dict(mean_of(states))
    weights, bias = (one.detach().numpy().copy() for one in (network.head.weight, network.head.bias))
    return replace(start, weights=weights, bias=bias)


def mean_of(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Weights that began alike and went apart only by chance lie in one valley; their mean lies deeper in it."""
    return {
        name: torch.stack([state[name].float() for state in states]).mean(dim=0).to(value.dtype)
        for name, value in states[0].items()
    }
