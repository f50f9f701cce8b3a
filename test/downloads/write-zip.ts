/** A zip archive of stored entries, for tests of what reads one. Names are written as given, hostile ones too. */
import { crc32 } from "node:zlib";

export function writeZip(entries: Record<string, Buffer | undefined>): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(entries)) {
    if (content === undefined) continue;
    const label = Buffer.from(name);
    const sizes = Buffer.alloc(16);
    sizes.writeUInt32LE(crc32(content), 0);
    sizes.writeUInt32LE(content.length, 4);
    sizes.writeUInt32LE(content.length, 8);
    sizes.writeUInt16LE(label.length, 12);
    // version 2.0, no flags, stored, date 0
    const head = Buffer.from([20, 0, 0, 8, 0, 0, 0, 0, 33, 0]);
    locals.push(Buffer.from("PK\x03\x04"), head, sizes, label, content);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    central.push(Buffer.from("PK\x01\x02"), Buffer.from([20, 0]), head, sizes, tail, label);
    offset += 4 + head.length + sizes.length + label.length + content.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(18);
  const count = Object.values(entries).filter((content) => content !== undefined).length;
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, Buffer.from("PK\x05\x06"), end]);
}
