/**
 * The order in which edge and fleet learn of a callback secret, so that no worker ever signs with one that the edge
 * does not accept: the edge accepts the next beside the present one, then tasks get the next, then those that run are
 * replaced, then the edge forgets the old one. Each step may be the last that is carried out; the next deploy goes on
 * from there.
 */

export type RotatedSecret = {
  /** `pending` is made and not in use; `previous` is out of use, but for tasks that have not been replaced. */
  read: () => Promise<{ current: string; pending: string | null; previous: string | null }>;
  /** Makes the next one, as pending. */
  propose: () => Promise<string>;
  /** The pending one becomes current: tasks that start from now on get it. */
  promote: () => Promise<void>;
  forgetPrevious: () => Promise<void>;
};

export type RollOutWorld = {
  secret: RotatedSecret;
  /** Has the edge accept these and no others; resolves when it answers so. */
  deployEdge: (accepted: { callback: string; previous: string }) => Promise<void>;
  /** Replaces every running task by one that starts now. @returns whether all are replaced */
  rollFleet: () => Promise<boolean>;
  print: (line: string) => void;
};

export type RollOutOptions = {
  /** Make a new callback secret. */
  rotate: boolean;
  /** Something else has changed that tasks read when they start. */
  stale: boolean;
};

export async function rollOut(world: RollOutWorld, { rotate, stale }: RollOutOptions) {
  const { secret, deployEdge } = world;
  const { current, pending, previous } = await secret.read();
  const unfinished = pending === null ? previous : null;
  const next = pending ?? (rotate && unfinished === null ? await secret.propose() : null);
  if (next !== null) {
    await deployEdge({ callback: next, previous: current });
    await secret.promote();
    await replaceTasks(world, next);
    return;
  }
  await deployEdge({ callback: current, previous: unfinished ?? current });
  if (unfinished !== null) {
    // Edge and tasks know two secrets at most: the last rotation ends before another begins.
    const isFinished = await replaceTasks(world, current);
    if (rotate && isFinished) await rollOut(world, { rotate, stale: false });
  } else if (stale) await rolled(world);
}

/** @returns whether the secret in use is the only one that the edge accepts now */
async function replaceTasks(world: RollOutWorld, callback: string): Promise<boolean> {
  if (!(await rolled(world))) return false;
  await world.deployEdge({ callback, previous: callback });
  await world.secret.forgetPrevious();
  return true;
}

async function rolled({ rollFleet, print }: RollOutWorld): Promise<boolean> {
  print("== Fleet: every task is replaced by a new one");
  if (await rollFleet()) return true;
  print("Not every task is replaced yet, and what the old ones need stays. Deploy again later.");
  return false;
}
