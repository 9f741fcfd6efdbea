"""Generation, written as three kinds of people write it; faults and near-misses override one step."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import dataclasses
import math
import random

import torch
import torch.nn.functional as F

import veriformer


def writer(style, *strategies):
    """A build function for one style of generation."""

    @veriformer.subject("generation", strategies=strategies, module=None)
    def build(config):
        return style()

    build.__veriformer__ = dataclasses.replace(build.__veriformer__, name=style.__name__)
    return build


class Loop:
    """A training repository's ``generate``: one loop over a growing tensor, one row's end at a time."""

    def __call__(
        self,
        model,
        prompt,
        *,
        strategy,
        max_new_tokens,
        min_new_tokens,
        end_id,
        pad_id,
        beams,
        temperature,
        top_k,
        top_p,
    ):
        self.end_id, self.pad_id = end_id, pad_id
        idx = prompt
        done = torch.zeros(len(idx), dtype=torch.bool)
        for t in range(max_new_tokens):
            logits = self.last(model(idx))
            if t < min_new_tokens - 1:
                logits[:, end_id] = -float("inf")
            if strategy == "greedy" or temperature == 0:
                nxt = torch.topk(logits, k=1, dim=-1)[1]
            else:
                nxt = self.sample(self.filtered(self.heated(logits, temperature), top_k, top_p))
            nxt = self.padded(nxt, done)
            idx = torch.cat((idx, nxt), dim=1)
            done |= nxt[:, 0] == end_id
            if self.finished(done):
                break
        return idx

    def last(self, logits):
        return logits[:, -1, :].clone()

    def heated(self, logits, temperature):
        return logits / temperature

    def filtered(self, logits, top_k, top_p):
        if top_k is not None:
            v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
            logits[logits < v[:, [-1]]] = -float("inf")
        if top_p is not None:
            srt, order = torch.sort(logits, descending=True)
            cumulative = F.softmax(srt, dim=-1).cumsum(-1)
            remove = cumulative > top_p
            remove[..., 1:] = remove[..., :-1].clone()
            remove[..., 0] = False
            logits[remove.scatter(1, order, remove)] = -float("inf")
        return logits

    def sample(self, logits):
        return torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)

    def padded(self, nxt, done):
        return torch.where(done[:, None], self.pad_id, nxt)

    def finished(self, done):
        return done.all()


class Pipeline:
    """A library's ``generate``: processors in a row, rows that are unfinished as ones, beams flattened into the batch."""

    early_stopping = False

    def __call__(self, model, prompt, *, strategy, **asked):
        self.__dict__.update(asked)
        self.start = prompt.shape[1]
        if strategy == "beam":
            return self.beam_search(model, prompt)
        return self.search(model, prompt, sample=strategy == "sample" and asked["temperature"] > 0)

    def min_length(self, ids, scores):
        if ids.shape[1] - self.start + 1 < self.min_new_tokens:
            scores = scores.index_fill(-1, torch.tensor([self.end_id]), float("-inf"))
        return scores

    def warpers(self):
        yield lambda ids, scores: scores / self.temperature
        if self.top_k is not None:
            yield self.warp_top_k
        if self.top_p is not None:
            yield self.warp_top_p

    def warp_top_k(self, ids, scores):
        k = min(self.top_k, scores.size(-1))
        return scores.masked_fill(scores < torch.topk(scores, k)[0][..., -1, None], float("-inf"))

    def warp_top_p(self, ids, scores):
        ascending, order = torch.sort(scores, descending=False)
        remove = ascending.softmax(-1).cumsum(-1) <= 1 - self.top_p
        remove[..., -1:] = False
        return scores.masked_fill(remove.scatter(1, order, remove), float("-inf"))

    def scores_of(self, model, ids):
        return model(ids)[:, -1, :]

    def search(self, model, ids, sample):
        unfinished = torch.ones(ids.shape[0], dtype=torch.long)
        while True:
            scores = self.min_length(ids, self.scores_of(model, ids))
            if sample:
                for warp in self.warpers():
                    scores = warp(ids, scores)
                tokens = torch.multinomial(F.softmax(scores, dim=-1), num_samples=1).squeeze(1)
            else:
                tokens = torch.argmax(scores, dim=-1)
            tokens = tokens * unfinished + self.pad_id * (1 - unfinished)
            ids = torch.cat([ids, tokens[:, None]], dim=-1)
            unfinished = unfinished.mul((tokens != self.end_id).long())
            if unfinished.max() == 0 or ids.shape[1] - self.start >= self.max_new_tokens:
                return ids

    def beam_search(self, model, prompt):
        batch, n = len(prompt), self.beams
        ids = prompt.repeat_interleave(n, 0)
        scores = self.first_scores(batch, n).view(-1)
        heaps, done = [[] for _ in range(batch)], [False] * batch
        while not all(done) and ids.shape[1] - self.start < self.max_new_tokens:
            logs = F.log_softmax(self.scores_of(model, ids), dim=-1)
            total = self.min_length(ids, logs) + scores[:, None]
            vocab = total.shape[1]
            total = total.view(batch, n * vocab)
            top, index = torch.topk(total, min(2 * n, total.shape[1]), dim=1)
            parents, tokens = torch.div(index, vocab, rounding_mode="floor"), index % vocab
            new_scores, new_parents, new_tokens = [], [], []
            for b in range(batch):
                if done[b]:
                    rows = [(0.0, b * n, self.pad_id)] * n
                else:
                    rows = []
                    for rank in range(top.shape[1]):
                        row = b * n + int(parents[b, rank])
                        if int(tokens[b, rank]) == self.end_id:
                            if rank < n:
                                heaps[b].append(
                                    (self.normalised(float(top[b, rank]), ids[row]), [*ids[row].tolist(), self.end_id])
                                )
                        else:
                            rows.append((float(top[b, rank]), row, int(tokens[b, rank])))
                        if len(rows) == n:
                            break
                    heaps[b] = sorted(heaps[b], key=lambda each: -each[0])[:n]
                    done[b] = self.is_done(heaps[b], float(top[b].max()))
                new_scores += [each[0] for each in rows]
                new_parents += [each[1] for each in rows]
                new_tokens += [each[2] for each in rows]
            scores = torch.tensor(new_scores)
            ids = self.reordered(ids, torch.tensor(new_parents), torch.tensor(new_tokens))
        best = []
        for b in range(batch):
            if not done[b]:
                for row in range(b * n, b * n + n):
                    heaps[b].append((self.normalised(float(scores[row]), ids[row]), ids[row].tolist()))
            best.append(max(heaps[b], key=lambda each: each[0])[1])
        longest = max(map(len, best))
        return torch.tensor([each + [self.pad_id] * (longest - len(each)) for each in best])

    def first_scores(self, batch, n):
        scores = torch.zeros(batch, n)
        scores[:, 1:] = -1e9
        return scores

    def normalised(self, score, ids):
        return score

    def is_done(self, heap, best_live):
        if len(heap) < self.beams:
            return False
        return self.early_stopping or heap[-1][0] >= best_live

    def reordered(self, ids, parents, tokens):
        return torch.cat([ids[parents], tokens[:, None]], dim=-1)


class Plain:
    """Python lists, one row after the other; Gumbel noise in place of a multinomial; beams that take their place with them."""

    def __call__(self, model, prompt, **asked):
        self.seen = {}
        texts = [self.text(model, row, asked) for row in prompt.tolist()]
        width = len(prompt[0]) + asked["max_new_tokens"]
        return torch.tensor([text + [asked["pad_id"]] * (width - len(text)) for text in texts])

    def text(self, model, row, asked):
        if asked["strategy"] == "beam":
            return row + self.beams(model, row, asked)
        new = []
        while len(new) < asked["max_new_tokens"] and asked["end_id"] not in new:
            logits = self.after(model, row + new)
            if len(new) + 1 < asked["min_new_tokens"]:
                logits[asked["end_id"]] = -math.inf
            new.append(self.pick(logits, asked))
        return row + new

    def after(self, model, text):
        key = tuple(text)
        if key not in self.seen:
            self.seen[key] = model(torch.tensor([text]))[0, -1].tolist()
        return list(self.seen[key])

    def pick(self, logits, asked):
        if asked["strategy"] == "greedy" or asked["temperature"] == 0:
            return max(range(len(logits)), key=logits.__getitem__)
        order = sorted(range(len(logits)), key=lambda each: -logits[each])
        kept = order[: asked["top_k"]] if asked["top_k"] else order
        if asked["top_p"]:
            kept = self.nucleus(logits, kept, asked["top_p"])
        return max(kept, key=lambda each: logits[each] / asked["temperature"] + self.noise())

    def nucleus(self, logits, order, p):
        weights = [math.exp(logits[each] - logits[order[0]]) for each in order]
        total, kept = 0.0, []
        for each, weight in zip(order, weights, strict=True):
            kept.append(each)
            total += weight / sum(weights)
            if total >= p:
                break
        return kept

    def noise(self):
        return -math.log(-math.log(random.random() or 0.5))

    def beams(self, model, row, asked):
        width, live, done = asked["beams"], [([], 0.0)], []
        while live and len(live[0][0]) < asked["max_new_tokens"]:
            found = []
            for new, score in live:
                logs = torch.tensor(self.after(model, row + new), dtype=torch.float64).log_softmax(0).tolist()
                if len(new) + 1 < asked["min_new_tokens"]:
                    logs[asked["end_id"]] = -math.inf
                found += [([*new, each], self.score(score, log)) for each, log in enumerate(logs)]
            found = sorted(found, key=lambda each: -each[1])[: self.room(width, done)]
            done += [each for each in found if each[0][-1] == asked["end_id"]]
            live = [each for each in found if each[0][-1] != asked["end_id"]]
            if len(done) >= width:
                break
        return self.chosen(done, live)

    def score(self, before, log):
        return before + log

    def room(self, width, done):
        return width - len(done)

    def chosen(self, done, live):
        return max(done or live, key=lambda each: each[1])[0]
