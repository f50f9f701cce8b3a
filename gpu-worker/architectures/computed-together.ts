/**
 * Constants that come of one computation: it is done for the first that is loaded, and the others are kept until they
 * are. Loaded again, one is computed anew.
 */
export function computedTogether<T extends object>(
  compute: () => T,
): <K extends keyof T>(key: K) => () => T[K] {
  const receivers: ((all: T) => void)[] = [];
  return (key) => {
    /** None or one. */
    const kept: T[typeof key][] = [];
    receivers.push((all) => {
      kept[0] = all[key];
    });
    return () => {
      const found = kept.pop();
      if (found !== undefined) return found;
      const all = compute();
      for (const receive of receivers) receive(all);
      kept.pop();
      return all[key];
    };
  };
}
