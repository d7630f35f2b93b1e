"""The two inner loops that are worth machine code. Each worker loads them from numba's cache on disk.

Shapes: R rows of a block, N entries of the block, M rows of the other side, F factors, K neighbours.
"""

import numpy as np
from numba import njit

# Sums may be reordered for vector instructions; NaN and infinity must still be seen.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, fastmath=_FAST)
def _apply(x_F, base_FF, has_base, ridge, columns, curvature, other_MF, out_F):  # type: ignore[no-untyped-def]
    """out = (base + ridge I + sum of curvature_i y_i y_i') x over one row's entries."""
    factors = x_F.shape[0]
    for f in range(factors):
        out_F[f] = ridge * x_F[f]
    if has_base:
        for g in range(factors):
            x_g = x_F[g]
            base_F = base_FF[g]
            for f in range(factors):
                out_F[f] += x_g * base_F[f]
    for n in range(columns.shape[0]):
        y_F = other_MF[columns[n]]
        score = np.float32(0)
        for f in range(factors):
            score += y_F[f] * x_F[f]
        score *= curvature[n]
        for f in range(factors):
            out_F[f] += score * y_F[f]


@njit(cache=True, nogil=True, fastmath=_FAST)
def solve_rows(indptr, columns, curvature, target, other_MF, base_FF, has_base, ridge_R, steps, x_RF):  # type: ignore[no-untyped-def]
    """Minimise x'Ax - 2b'x for every row, in place, by conjugate gradients from the x given (Takács et al. 2011).

    A = base + ridge I + sum of curvature_i y_i y_i', b = sum of target_i y_i, over the row's entries i.

    Returns:
        The sum of x'Ax - 2b'x over the rows.
    """
    factors = other_MF.shape[1]
    b, r = np.empty(factors, np.float32), np.empty(factors, np.float32)
    p, q = np.empty(factors, np.float32), np.empty(factors, np.float32)
    objective = 0.0
    for row in range(indptr.shape[0] - 1):
        begin, end = indptr[row], indptr[row + 1]
        own, a = columns[begin:end], curvature[begin:end]
        x = x_RF[row]
        b[:] = 0
        for n in range(end - begin):
            y = other_MF[own[n]]
            t = target[begin + n]
            for f in range(factors):
                b[f] += t * y[f]
        _apply(x, base_FF, has_base, ridge_R[row], own, a, other_MF, q)
        rs = np.float32(0)
        bb = np.float32(0)
        for f in range(factors):
            r[f] = b[f] - q[f]
            p[f] = r[f]
            rs += r[f] * r[f]
            bb += b[f] * b[f]
        for _ in range(steps):
            if rs <= np.float32(1e-12) * bb:
                break
            _apply(p, base_FF, has_base, ridge_R[row], own, a, other_MF, q)
            pq = np.float32(0)
            for f in range(factors):
                pq += p[f] * q[f]
            if pq <= 0:  # underflow: the row is at its solution as far as a float can tell
                break
            step = rs / pq
            for f in range(factors):
                x[f] += step * p[f]
                r[f] -= step * q[f]
            before = rs
            rs = np.float32(0)
            for f in range(factors):
                rs += r[f] * r[f]
            for f in range(factors):
                p[f] = r[f] + rs / before * p[f]
        for f in range(factors):
            objective -= np.float64(x[f]) * np.float64(b[f] + r[f])
    return objective


@njit(cache=True, nogil=True)
def top_neighbours(items, by_item, item_users, item_weights, by_user, user_items, user_weights, mass, measure, k):  # type: ignore[no-untyped-def]
    """The K best neighbours of some items, by accumulating the histories of each item's users (Sarwar et al. 2001).

    Args:
        items: row numbers of the items asked for, [R].
        by_item, item_users, item_weights: the matrix by item (CSR): whose users, with what weight.
        by_user, user_items, user_weights: the same matrix by user.
        mass: sum of squared weights of every item.
        measure: (metric, asymmetry, shrinkage, damping, users): metric 0 cosine, 1 Jaccard, 2 lift.

    Returns:
        Neighbours [R, K], their scores [R, K] best first (equal ones by row number), and how many there are [R].
    """
    metric, asymmetry, shrinkage, damping, users = measure
    num_items = mass.shape[0]
    neighbours = np.zeros((items.shape[0], k), np.int32)
    scores = np.zeros((items.shape[0], k), np.float32)
    found = np.zeros(items.shape[0], np.int32)
    discount = mass**-damping
    own_mass, other_mass = mass**asymmetry, mass ** (1 - asymmetry)
    common = np.zeros(num_items)
    for row in range(items.shape[0]):
        item = items[row]
        common[:] = 0
        for n in range(by_item[item], by_item[item + 1]):
            user, weight = item_users[n], item_weights[n]
            for m in range(by_user[user], by_user[user + 1]):
                common[user_items[m]] += weight * user_weights[m]
        kept = 0
        for other in range(num_items):
            shared = common[other]
            if shared <= 0 or other == item:
                continue
            if metric == 0:
                score = shared / (own_mass[item] * other_mass[other])
            elif metric == 1:
                score = shared / (mass[item] + mass[other] - shared)
            else:
                score = shared * users / (mass[item] * mass[other])
            rounded = np.float32(score * discount[other] * shared / (shared + shrinkage))
            if kept == k and rounded <= scores[row, k - 1]:
                continue
            place = min(kept, k - 1)
            while place > 0 and scores[row, place - 1] < rounded:
                scores[row, place], neighbours[row, place] = scores[row, place - 1], neighbours[row, place - 1]
                place -= 1
            scores[row, place], neighbours[row, place] = rounded, other
            kept = min(kept + 1, k)
        found[row] = kept
    return neighbours, scores, found
