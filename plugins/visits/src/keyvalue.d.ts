// wit/deps/keyvalue.wit in TypeScript's words. An `error` of it is thrown.

declare module "wasi:keyvalue/store@0.2.0-draft" {
  export interface Bucket {
    delete(key: string): void;
    listKeys(cursor: bigint | null): { keys: string[]; cursor: bigint | null };
  }
  export function open(identifier: string): Bucket;
}

declare module "wasi:keyvalue/atomics@0.2.0-draft" {
  import type { Bucket } from "wasi:keyvalue/store@0.2.0-draft";
  export function increment(bucket: Bucket, key: string, delta: number): bigint;
}

declare module "wasi:keyvalue/batch@0.2.0-draft" {
  import type { Bucket } from "wasi:keyvalue/store@0.2.0-draft";
  export function getMany(bucket: Bucket, keys: string[]): ([string, Uint8Array] | null)[];
}
