/**
 * Items with weights, drawn in proportion to them. Adding, removing and drawing cost the logarithm of the length: the
 * sums of the weights are kept in a binary indexed tree (Fenwick 1994), so that no change asks for a rebuild.
 */
export class WeightedList<T> {
  readonly #items: T[] = [];
  readonly #weights: number[] = [];
  readonly #slots = new Map<T, number>();
  /** 1-based; node i holds the sum of the `i & -i` weights that end at slot i - 1. The size is a power of two. */
  #tree = new Float64Array(2);
  #total = 0;

  get length(): number {
    return this.#items.length;
  }

  /** Adds an item that is not in the list; the weight is a positive integer. */
  add(item: T, weight: number): void {
    const slot = this.#items.length;
    if (slot + 1 >= this.#tree.length) this.#grow();
    this.#items.push(item);
    this.#weights.push(weight);
    this.#slots.set(item, slot);
    this.#shift(slot, weight);
  }

  /** Removes an item; the last one takes its place. */
  delete(item: T): void {
    const slot = this.#slots.get(item);
    if (slot === undefined) return;
    const last = this.#items.length - 1;
    const [lastItem, lastWeight] = [this.#items[last], this.#weights[last]];
    const weight = this.#weights[slot];
    if (lastItem === undefined || lastWeight === undefined || weight === undefined) return;
    this.#shift(last, -lastWeight);
    if (slot !== last) {
      this.#shift(slot, lastWeight - weight);
      this.#items[slot] = lastItem;
      this.#weights[slot] = lastWeight;
      this.#slots.set(lastItem, slot);
    }
    this.#items.pop();
    this.#weights.pop();
    this.#slots.delete(item);
  }

  /** An item, each as likely as its weight says; undefined when there is none. `random` is in [0, 1). */
  draw(random: () => number): T | undefined {
    return this.#items[this.#slotOf(random() * this.#total)];
  }

  /**
   * An item that is not excluded, or any one when all are. The excluded are expected to be few: no more items than
   * those are looked at.
   */
  drawOther(random: () => number, isExcluded: (item: T) => boolean): T | undefined {
    const start = this.#slotOf(random() * this.#total);
    for (let i = 0; i < this.#items.length; i++) {
      const item = this.#items[(start + i) % this.#items.length];
      if (item !== undefined && !isExcluded(item)) return item;
    }
    return this.#items[start];
  }

  /** The slot whose share of the total covers a point. */
  #slotOf(point: number): number {
    let left = point;
    let slot = 0;
    for (let step = this.#tree.length >> 1; step > 0; step >>= 1) {
      const sum = this.#tree[slot + step];
      if (sum === undefined || slot + step > this.#items.length || sum > left) continue;
      left -= sum;
      slot += step;
    }
    return Math.min(slot, Math.max(0, this.#items.length - 1));
  }

  #shift(slot: number, by: number): void {
    this.#total += by;
    for (let i = slot + 1; i < this.#tree.length; i += i & -i) this.#tree[i] = (this.#tree[i] ?? 0) + by;
  }

  #grow(): void {
    const grown = new Float64Array(this.#tree.length * 2);
    grown.set(this.#tree);
    // The one new node that covers old slots covers all of them.
    grown[this.#tree.length] = this.#total;
    this.#tree = grown;
  }
}
