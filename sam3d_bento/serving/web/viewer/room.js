// The light of the viewer: a small room of our own with bright walls and a few lamps, as an image-based light. It is made
// from boxes, so nothing is loaded.

import { BackSide, BoxGeometry, Color, Mesh, MeshBasicMaterial, PMREMGenerator, Scene } from "../vendor/three.js";

// Radiance of the walls and the lamps. Together they light a white surface, averaged over its directions, as bright as
// paper in the texture, so that the colours of a photo come out as they are in it.
const WALLS = 0.72;
const FLOOR = 0.5;
const LAMPS = [
  // [radiance, centre, size]: a window in front to the left, a ceiling lamp, and a faint one behind to the right
  [4.2, [-4.2, 2.6, 4.2], [3.4, 3.4, 3.4]],
  [2.6, [0, 4.9, 0], [4.6, 0.2, 4.6]],
  [1.6, [4.8, 1.2, -3], [0.2, 3, 4]],
];
const BLUR = 0.05; // radians; the edges of lamps are soft in reflections

/** Return the light as a texture for `scene.environment`. */
export function makeRoomLight(renderer) {
  const room = new Scene();
  const walls = glowing(WALLS);
  const floor = glowing(FLOOR);
  walls.side = floor.side = BackSide;
  const box = new Mesh(new BoxGeometry(10, 10, 10), [walls, walls, walls, floor, walls, walls]);
  room.add(box);
  for (const [radiance, centre, size] of LAMPS) {
    const lamp = new Mesh(new BoxGeometry(...size), glowing(radiance));
    lamp.position.set(...centre);
    room.add(lamp);
  }
  const generator = new PMREMGenerator(renderer);
  const { texture } = generator.fromScene(room, BLUR);
  generator.dispose();
  room.traverse((part) => part.geometry?.dispose());
  return texture;
}

function glowing(radiance) {
  return new MeshBasicMaterial({ color: new Color().setScalar(radiance), toneMapped: false });
}
