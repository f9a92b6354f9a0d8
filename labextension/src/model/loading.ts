import { problemOf } from '../api/problems';
import { IProblem } from '../api/types';

/** Something that is asked from the server, in each of its states. */
export type Loading<T> =
  | { readonly state: 'idle' | 'loading' }
  | { readonly state: 'ready'; readonly value: T }
  | { readonly state: 'failed'; readonly problem: IProblem };

export const IDLE = { state: 'idle' } as const;
export const LOADING = { state: 'loading' } as const;

/** Wait for an answer; a failure is a state too, and nothing is thrown. */
export async function settled<T>(answer: Promise<T>): Promise<Loading<T>> {
  try {
    return { state: 'ready', value: await answer };
  } catch (reason) {
    return { state: 'failed', problem: problemOf(reason) };
  }
}
